"""The one version that a worker holds: raw tensors in, the signature's outputs out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import PREPROCESSING, Manifest
from gristmill.bundles.replay import read_golden, replay
from gristmill.core import plugins
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.threads import yield_early
from gristmill.core.types import ReplicaSpec, Resources
from gristmill.frameworks.protocol import Runtime
from gristmill.serving.worker.engine_choice import engine_of, move_to
from gristmill.tasks.preprocessing import Preprocessing, decode_preprocessing
from gristmill.tasks.protocol import Task, Tensors

_WARM_UP_ROWS = (1, 2, 8, 32, 64)
_ROUNDS = 3
_WARM_UP_S = 1.0


class Version(NamedTuple):
    manifest: Manifest
    task: Task
    preprocessing: Preprocessing
    runtime: Runtime

    def outputs(self, raw: Tensors) -> Tensors:
        """Raw tensors of any number of rows → the signature's outputs."""
        scores = self.runtime.infer(self.preprocessing.apply(raw))
        return self.task.outputs(scores, self.manifest.signature)


def load(spec: ReplicaSpec) -> tuple[Version, tuple[tuple[int, float], ...]]:
    """Verify every file, load, warm up, replay the golden inputs → the version and (rows, seconds) of the warm-up.

    Raises CorruptBundle naming the file, Unprocessable; a version that no longer gives its golden answers is refused.
    """
    bundle = Path(spec.bundle)
    manifest = verify(bundle, spec.digest)
    manifest = msgspec.structs.replace(manifest, runtime=engine_of(spec, manifest))
    move_to(spec.environments, manifest.runtime)
    if manifest.signature.language is None:
        yield_early()  # a language model computes with all its cores, and hundreds of times a step its threads meet
    task: Task = plugins.load("tasks", manifest.task)()
    version = Version(manifest, task, _preprocessing(bundle), _opened(bundle, manifest, spec.resources))
    timings = () if manifest.signature.language else tuple(_warm_up(version, read_golden(bundle)[0]))
    replay(bundle, manifest.signature, version.outputs)
    return version, timings


def _opened(bundle: Path, manifest: Manifest, resources: Resources) -> Runtime:
    try:
        runtime: type[Runtime] = plugins.load("runtimes", manifest.runtime)
        return runtime.load(bundle, manifest, resources)
    except ModuleNotFoundError as error:
        raise Unprocessable(
            f"The runtime {manifest.runtime} needs the package {error.name!r}, which is not installed: "
            f"`gristmill runtimes install {manifest.runtime}`.", field="runtime",
        ) from error  # fmt: skip


def _preprocessing(bundle: Path) -> Preprocessing:
    try:
        return decode_preprocessing((bundle / PREPROCESSING).read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise CorruptBundle(f"{PREPROCESSING} cannot be read: {error}.", file=PREPROCESSING) from None


def _warm_up(version: Version, golden: Tensors) -> Iterator[tuple[int, float]]:
    """First calls are slow, so each size runs once unseen; the gateway's cost model starts from the rest.

    A slow model warms up with few rows only: a replica that died is to be back soon.
    """
    until = time.perf_counter() + _WARM_UP_S
    for rows in _WARM_UP_ROWS:
        raw = {name: values[np.arange(rows) % len(values)] for name, values in golden.items()}
        version.outputs(raw)
        for _ in range(_ROUNDS):
            started = time.perf_counter()
            version.outputs(raw)
            ended = time.perf_counter()
            yield rows, ended - started
            if ended > until:
                return
