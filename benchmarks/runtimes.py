"""Serving in each runtime, through a gateway: the MLP and the CNN of benchmarks/serving, the same load before each.

    python -m benchmarks.runtimes [--seconds 3] [--turns 3]

To reach (issue 3): at least 0.8 times the requests/s of the torch runtime. The runtimes are measured in turn, one
worker of one core each; the others idle meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks._bundles import CLASSES, FEATURES, SIDE
from benchmarks._load import wrk
from benchmarks.frameworks import FRAMEWORKS, load, make
from tests.serving.conftest import free_port
from tests.serving.rig import Bundle, Rig, eventually, rig

from gristmill.bundles.digests import scan
from gristmill.bundles.manifest import PREPROCESSING, Lineage, Manifest, write_manifest
from gristmill.bundles.replay import write_golden
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.classification import Classification
from gristmill.tasks.preprocessing import NormaliseImage, Preprocessing, Standardise, encode_preprocessing

CONNECTIONS, TO_REACH = 32, 0.8


class Model(NamedTuple):
    """What is asked of one architecture: its input, four raw rows, and one request of one row."""

    spec: TensorSpec
    preprocessing: Preprocessing
    raw: dict[str, np.ndarray]
    body: bytes
    headers: dict[str, str]


def models() -> dict[str, Model]:
    chance = np.random.default_rng(1)
    rows = chance.normal(size=(4, FEATURES)).astype(np.float32)
    described = {"name": "features", "datatype": "FP32", "shape": [1, FEATURES], "data": rows[0].round(4).tolist()}
    mlp = Model(
        TensorSpec("features", "FP32", (-1, FEATURES)),
        Preprocessing(Standardise((0.0,) * FEATURES, (1.0,) * FEATURES)),
        {"features": rows},
        json.dumps({"inputs": [described]}).encode(),
        {"content-type": "application/json"},
    )
    images = chance.integers(0, 256, (4, SIDE, SIDE, 1), np.uint8)
    body, head = binary(images[:1])
    cnn = Model(
        TensorSpec("image", "UINT8", (-1, SIDE, SIDE, 1)),
        Preprocessing(NormaliseImage((0.13,), (0.31,))),
        {"image": images},
        body,
        {"inference-header-content-length": str(head)},
    )
    return {"mlp": mlp, "cnn": cnn}


def binary(images: np.ndarray) -> tuple[bytes, int]:
    """A request with its tensor as bytes after the JSON, and the length of the JSON."""
    parameters = {"binary_data_size": images.nbytes}
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(images.shape), "parameters": parameters}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + images.tobytes(), len(head)


def bundle(framework: str, name: str, model: Model, folder: Path) -> Bundle:
    """A version with the weights of one epoch on noise."""
    folder.mkdir()
    ((given, rows),) = model.preprocessing.apply(model.raw).items()
    made = make(framework, name, folder, given)
    outputs = (TensorSpec("probabilities", "FP32", (-1, CLASSES), 0.0, 1.0),)
    signature = Signature(made.task, (model.spec,), outputs, tuple("abc"))
    (folder / PREPROCESSING).write_bytes(encode_preprocessing(model.preprocessing))
    runtime = load(made, folder)
    write_golden(folder, model.raw, Classification().outputs(runtime.infer({given: rows}), signature))
    runtime.close()
    manifest = Manifest(
        name=name, task=made.task, framework=framework, runtime=made.runtime, architecture=made.architecture,
        signature=signature, lineage=Lineage(), files=scan(folder), licence=None, created_at=0.0, parameters=1,
    )  # fmt: skip
    return Bundle(folder, write_manifest(folder, manifest), signature)


def rate(made: Rig, endpoint: str, model: Model, seconds: int) -> float:
    """Requests a second. Raises RuntimeError when any failed."""
    url = f"http://127.0.0.1:{made.port}/v2/models/{endpoint}/infer"
    headers = {"authorization": f"Bearer {made.key}"} | model.headers
    wrk(url, model.body, headers, CONNECTIONS, 1)
    load = wrk(url, model.body, headers, CONNECTIONS, seconds)
    if load.failed:
        raise RuntimeError(f"{endpoint} failed {load.failed} requests.")
    return load.requests_per_s


def turns(folder: Path, name: str, model: Model, seconds: int, count: int) -> dict[str, list[float]]:
    """Requests/s of each runtime, turn by turn: all are loaded, one is asked at a time."""
    with rig(folder, free_port()) as made:
        for framework in FRAMEWORKS:
            version = bundle(framework, name, model, folder / framework)
            made.serve(framework, (f"{framework}@1", version, 100, [made.add_worker(version, f"{framework}@1")]))
        made.push()
        made.start_gateway()
        eventually(lambda: all(worker.ready() for worker in made.workers), 60)
        found = {framework: [] for framework in FRAMEWORKS}
        for _ in range(count):
            for framework in FRAMEWORKS:
                found[framework].append(rate(made, framework, model, seconds))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=3, help="of each measurement")
    options.add_argument("--turns", type=int, default=3)
    chosen = options.parse_args()
    print("| model, runtime | to reach | requests/s against the torch runtime | |\n|---|---|---|---|")
    for name, model in models().items():
        with tempfile.TemporaryDirectory() as folder:
            found = turns(Path(folder), name, model, chosen.seconds, chosen.turns)
        for framework in FRAMEWORKS[1:]:
            pairs = zip(found[framework], found["torch"], strict=True)
            ratio = statistics.median(theirs / torch for theirs, torch in pairs)
            told = f"{statistics.median(found[framework]):,.0f} against {statistics.median(found['torch']):,.0f}"
            missed = "" if ratio >= TO_REACH else " (missed)"
            print(f"| {name}, {framework} | {TO_REACH} × | {ratio:.2f} ×{missed} | {told} |", flush=True)


if __name__ == "__main__":
    main()
