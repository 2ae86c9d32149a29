"""Runs in a folder of their own, without a platform: what the scheduler would write, and the real process."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import msgspec

from gristmill.core.types import (
    DatasetRef,
    ImportRef,
    Resources,
    RunEvent,
    RunKind,
    RunResult,
    RunSpec,
    Told,
    VersionRef,
)
from gristmill.data.versions import build
from gristmill.lab.events import Events
from gristmill.lab.imports.importing import import_run
from gristmill.store.blobs import Blobs
from gristmill.tasks.recipe import parse_recipe
from tests.lab.attempt import Attempt


class Rig:
    """`folder` holds blobs and runs; datasets are added from files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs_url = (folder / "blobs").as_uri()

    def dataset(self, source: Path, task: str, target: str | None = None, **options: Any) -> DatasetRef:
        made = build(source, Blobs(self.blobs_url), task=task, target=target, options=options)
        return DatasetRef(name=source.stem, version=1, digest=made.digest, licence="CC0-1.0", manifest=made.manifest)

    def imported(self, source: Path, model: str) -> VersionRef:
        """A model's folder as version 1 of `model`."""
        run = self.folder / "imports" / model
        run.mkdir(parents=True)
        upload = run / "upload.tar"
        with tarfile.open(upload, "w") as tar:
            tar.add(source, arcname=".")
        ref = ImportRef(source=source.name, told=Told(name=model), upload=str(upload), packed=True)
        spec = RunSpec(id=model, tenant="default", kind=RunKind.import_, attempt=1, seed=0, resources=Resources(1.0),
                       blobs_url=self.blobs_url, imported=ref)  # fmt: skip
        packaged = import_run(spec, run, Events(run, 1))
        return VersionRef(model=model, version=1, digest=packaged.digest, folder=str(run / "bundle"))

    def prepare(self, name: str, dataset: DatasetRef, recipe: dict[str, Any], **changes: Any) -> Path:
        folder = self.folder / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        parsed = parse_recipe({"name": name.partition("-")[0], "data": {"dataset": dataset.name}, **recipe})
        values = {"id": name, "tenant": "default", "kind": RunKind.train, "attempt": 1, "seed": parsed.training.seed,
                  "resources": Resources(1.0), "blobs_url": self.blobs_url, "recipe": parsed.model_dump(mode="json"),
                  "model": parsed.name, "dataset": dataset, "checkpoint_every_s": 0.05} | changes  # fmt: skip
        (folder / "run.json").write_bytes(msgspec.json.encode(RunSpec(**values)))
        return folder


def start(folder: Path, crash_at: str = "") -> Attempt:
    return Attempt(folder, crash_at)


def finish(folder: Path, crash_at: str = "", within_s: float = 120) -> RunResult | None:
    """Run to the end; None when it died without a result."""
    start(folder, crash_at).wait(within_s)
    return result(folder)


def result(folder: Path) -> RunResult | None:
    path = folder / "result.json"
    return msgspec.json.decode(path.read_bytes(), type=RunResult) if path.exists() else None


def events(folder: Path) -> list[RunEvent]:
    path = folder / "events.jsonl"
    return (
        [msgspec.json.decode(line, type=RunEvent) for line in path.read_bytes().splitlines()] if path.exists() else []
    )
