"""LoRA on SmolLM2: perplexity of a book that it has not been trained on, before and after.

    python -m benchmarks.adaptation

To reach (issue 4): it falls by 15 %. The books are those of ../shared/data/lm: eleven to learn from (400 passages of
them, and the ends of two to validate), the first 40,000 characters of Dracula to be tested on; real runs in processes
of their own.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import _language
from benchmarks._books import books
from tests.lab.rig import Rig, finish

from gristmill.core.types import DatasetRef, Resources, RunKind, RunResult, VersionRef
from gristmill.tasks.recipe import read_mapping

ROOT = Path(__file__).parents[1]
CORES = Resources(2.0, 6 * 2**30)


def run(rig: Rig, name: str, dataset: DatasetRef, **more: Any) -> RunResult:
    recipe = read_mapping((ROOT / "examples" / "books-lora.yaml").read_text())
    ended = finish(rig.prepare(name, dataset, recipe, resources=CORES, checkpoint_every_s=120.0, **more), within_s=1500)
    if ended is None or ended.error:
        raise SystemExit(f"{name} failed: {ended and ended.error}")
    return ended


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder))
        dataset = rig.dataset(books(rig.folder / "books"), "text-generation")
        base = rig.imported(_language.folder(rig.folder / "smollm"), "smollm")
        began = time.monotonic()
        made = run(rig, "smollm-books", dataset, base=base)
        took = time.monotonic() - began
        version = VersionRef(
            model="smollm-books", version=1, digest=str(made.bundle_digest),
            folder=str(rig.folder / "runs" / "smollm-books" / "bundle"),
        )  # fmt: skip
        told = run(rig, "evaluated", dataset, kind=RunKind.evaluate, version=version, against=base)
        report = told.report
        after, before = report["metrics"]["perplexity"], report["against"]["metrics"]["perplexity"]
        print(json.dumps({
            "before": round(before, 3), "after": after, "falls by": f"{1 - after['value'] / before:.1%}",
            "verdict": report["verdict"], "training_s": round(took, 1),
        }))  # fmt: skip


if __name__ == "__main__":
    main()
