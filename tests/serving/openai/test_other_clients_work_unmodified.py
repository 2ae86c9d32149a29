from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.serving.rig import Rig

PYTHON = os.environ.get("GRISTMILL_CLIENTS_PYTHON")


@pytest.mark.skipif(
    PYTHON is None,
    reason="GRISTMILL_CLIENTS_PYTHON names no Python with langchain-openai and llama-index-llms-openai-like",
)
def test_langchains_and_llamaindexs_openai_classes_work_unmodified(served: Rig) -> None:
    program = Path(__file__).with_name("other_clients.py")
    command = [str(PYTHON), str(program), f"http://127.0.0.1:{served.port}/v1", served.key]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout.split() == ["langchain", "llama_index"], ended.stderr
