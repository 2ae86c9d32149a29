"""What a framework brings to carry models in and out: importers, converters, exporters, beside its runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gristmill.bundles.manifest import Manifest
from gristmill.core.generation import LanguageFacts
from gristmill.core.types import Resources, Scores, TensorSpec, Told
from gristmill.tasks.preprocessing import Preprocessing
from gristmill.tasks.protocol import Tensors


class ImportJob(NamedTuple):
    """`source`: a stranger's file or folder. `weights`: a new folder for what the bundle keeps of it."""

    source: Path
    told: Told
    weights: Path
    resources: Resources


class Imported(NamedTuple):
    """What the file says of itself: the model's own tensors, and how the runtime opens it from the bundle."""

    framework: str
    runtime: str
    architecture: dict[str, Any]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int
    licence: str | None = None
    labels: tuple[str, ...] | None = None
    task: str | None = None
    preprocessing: Preprocessing | None = None  # where the format carries its own
    scores: Scores | None = None  # of a classifier, where the format says it
    language: LanguageFacts | None = None  # of a language model


class Exporter(Protocol):
    """Registered in `gristmill.exporters` as RUNTIME-FORMAT, where FORMAT is also the runtime that opens it."""

    def export(self, bundle: Path, manifest: Manifest, examples: Tensors, weights: Path) -> None:
        """Write the version in `bundle` into the folder `weights`; `examples`: model tensors. Raises Unprocessable."""
        ...


class Converter(Protocol):
    """Registered in `gristmill.converters` under the framework's name; called in a restricted process."""

    sources: tuple[str, ...]  # suffixes that it reads
    target: str  # the suffix that it writes

    def convert(self, source: Path, target: Path, trust_code: bool) -> int:
        """Write what `source` holds in a safe format → how many tensors. Raises Unprocessable, CorruptBundle."""
        ...


class Importer(Protocol):
    """Registered in `gristmill.importers` under the format's name. Made with no arguments; its module is light."""

    def recognises(self, source: Path) -> bool:
        """By names and first bytes: nothing is loaded, no framework imported."""
        ...

    def read(self, job: ImportJob) -> Imported:
        """Refuse what could run code, then read; the runtime's own check of the bundle finds the same again.

        Raises Unprocessable or CorruptBundle with one sentence that says what to do.
        """
        ...
