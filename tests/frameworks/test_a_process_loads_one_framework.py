"""A run loads the framework that trains, a replica that of its version, and neither any other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gristmill.bundles.manifest import MANIFEST, digest_of
from gristmill.core.types import DatasetRef, ReplicaSpec, Resources
from tests import language
from tests.imports.rig import Rig as Imports
from tests.imports.rig import onnx_model, program
from tests.lab.rig import Rig, finish

OTHERS = {"torch", "transformers", "tensorflow", "keras", "onnxruntime", "captum", "sqlalchemy", "pandas"}
WINE: dict[str, Any] = {
    "task": "tabular-classification",
    "framework": "torch",
    "architecture": {"name": "mlp", "hidden": [8]},
    "training": {"epochs": 1},
}
VIT: dict[str, Any] = {
    "task": "image-classification",
    "framework": "transformers",
    "architecture": {"name": "vit", "patch": 4, "width": 8, "layers": 1},
    "training": {"epochs": 1},
}
RUN = "from gristmill.lab.run import main\nassert main(Path(sys.argv[1])) == 0"
SERVE = """
import msgspec
from gristmill.bundles.manifest import MANIFEST, digest_of
from gristmill.core.types import ReplicaSpec
from gristmill.serving.worker.version import load
load(msgspec.json.decode(sys.argv[1], type=ReplicaSpec))
"""


SPINS = """
import os
hear = lambda event, told: event == 'import' and told[0] == 'torch' and print('spins', os.environ.get('GOMP_SPINCOUNT'))
sys.addaudithook(hear)
"""


def told(word: str, script: str, argument: str) -> list[str]:
    """What the script, in an interpreter of its own, printed behind the word."""
    script = f"import sys\nfrom pathlib import Path\n{script}\nprint('loaded', *sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script, argument], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = [line.split() for line in ended.stdout.splitlines() if line.startswith(f"{word} ")]
    return found[0][1:]


def loaded(script: str, argument: str) -> set[str]:
    """Which frameworks are there once the script has run."""
    return set(told("loaded", script, argument)) & OTHERS


def served(bundle: Path) -> str:
    digest = digest_of((bundle / MANIFEST).read_bytes())
    spec = ReplicaSpec(id="r", tenant="t", endpoint="e", model="m@1", digest=digest, bundle=str(bundle), socket="",
                       resources=Resources(1.0))  # fmt: skip
    return msgspec.json.encode(spec).decode()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def wine(rig: Rig, wine_csv: Path) -> DatasetRef:
    return rig.dataset(wine_csv, "tabular-classification")


def test_a_run_in_torch_and_its_replica(rig: Rig, wine: DatasetRef) -> None:
    folder = rig.prepare("wine-torch", wine, WINE)
    assert loaded(RUN, str(folder)) == {"torch"}
    assert loaded(SERVE, served(folder / "bundle")) == {"torch"}


def test_a_run_in_transformers_and_its_replica(rig: Rig) -> None:
    np.savez(rig.folder / "squares.npz", image=np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8, 1),
             label=np.arange(40) % 2)  # fmt: skip
    squares = rig.dataset(rig.folder / "squares.npz", "image-classification")
    folder = rig.prepare("squares-transformers", squares, VIT)
    assert loaded(RUN, str(folder)) == {"torch", "transformers"}
    assert loaded(SERVE, served(folder / "bundle")) == {"torch", "transformers"}


@pytest.mark.parametrize(
    ("name", "make", "framework"), [("m.onnx", onnx_model, "onnxruntime"), ("m.pt2", program, "torch")]
)
def test_a_replica_of_what_was_imported(tmp_path: Path, name: str, make: Any, framework: str) -> None:
    make(tmp_path / name)
    imported = Imports(tmp_path).bring(tmp_path / name)
    assert loaded(SERVE, served(imported.folder / "bundle")) == {framework}


def test_a_replica_decides_how_its_threads_wait_before_it_loads_its_framework(
    rig: Rig, wine: DatasetRef, tmp_path: Path
) -> None:
    """Of a language model they wait as its peers' do: for hundreds of products a step, they would be woken for each."""
    finish(rig.prepare("wine-waiting", wine, WINE))
    assert told("spins", SPINS + SERVE, served(rig.folder / "runs" / "wine-waiting" / "bundle")) == ["1000"]
    tiny = rig.imported(language.folder(tmp_path / "tiny"), "tiny-language")
    assert told("spins", SPINS + SERVE, served(Path(tiny.folder))) == ["None"]
