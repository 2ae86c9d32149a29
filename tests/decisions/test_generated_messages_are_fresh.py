"""The modules of gRPC's messages are what protoc makes of the proto: after a change of it, run `make proto`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROTO = Path("gristmill/serving/gateway/rpc/open_inference.proto")


@pytest.mark.parametrize("ending", ["_pb2.py", "_pb2.pyi"])
def test_the_messages_in_the_repository_are_those_of_the_proto(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("grpc_tools")
    made = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "src"), *made, str(ROOT / "src" / PROTO)]
    subprocess.run(protoc, check=True)
    fresh = (tmp_path / PROTO).with_name(PROTO.stem + ending).read_text()
    kept = (ROOT / "src" / PROTO).with_name(PROTO.stem + ending).read_text()
    assert kept == fresh.replace("_descriptor_pool.Default()", "_descriptor_pool.DescriptorPool()")
