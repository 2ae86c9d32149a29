"""The engine that serves a language model here: the one that is asked for, or the fastest of a trial that is kept."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psutil

from gristmill.bundles.manifest import Manifest
from gristmill.core.engine_trials import AUTO, EngineFigures, EngineTrial, read_trial, trial_path, write_trial
from gristmill.core.errors import Unprocessable
from gristmill.core.types import ReplicaSpec
from gristmill.frameworks.engines import engines_for

_log = logging.getLogger(__name__)
_MOVED = "GRISTMILL_RUNTIME"
_LOOK_S = 1.0
_TOLERANCE = 0.2  # cores: an idle platform takes some of one
_LONGEST_S = 150.0  # of one engine's trial; the controller waits longer for a replica that loads


def engine_of(spec: ReplicaSpec, manifest: Manifest) -> str:
    """Name of the runtime. Raises Unprocessable when no engine of this machine opens the version."""
    if spec.runtime != AUTO or manifest.signature.language is None:
        return manifest.runtime if spec.runtime in (None, AUTO) else spec.runtime
    candidates = engines_for(manifest, spec.environments)
    if not candidates:
        raise Unprocessable(f"No engine for {manifest.name} is installed: `gristmill runtimes list` shows what there "
                            "is.", field="runtime")  # fmt: skip
    return _tried(spec, candidates).chosen


def move_to(environments: Mapping[str, str], runtime: str) -> None:
    """Go on as the Python of the runtime's own environment, where it has one: the same process, begun again."""
    if runtime in environments and os.environ.get(_MOVED) != runtime:
        os.environ[_MOVED] = runtime
        os.execv(environments[runtime], [environments[runtime], "-m", "gristmill.serving.worker", *sys.argv[1:]])


def _tried(spec: ReplicaSpec, candidates: list[str]) -> EngineTrial:
    """The trial that is kept, or a new one: where an engine came or went, and of a replica that begins to serve where
    the kept one was disturbed and cores are free now. Replicas that start together try once."""
    path = trial_path(Path(spec.trials), spec.digest, max(1, int(spec.resources.cores)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = read_trial(path)
        known = kept is not None and {one.runtime for one in kept.figures} == set(candidates)
        if kept is not None and known and (spec.served or not kept.disturbed or _free_cores() < kept.cores):
            return kept
        trial = _try_all(spec, candidates)
        if kept is not None and known and trial.waited > kept.waited:
            return kept
        write_trial(path, trial)
    return trial


def _free_cores() -> float:
    """Cores that nobody used while it was looked."""
    idle = 1 - psutil.cpu_percent(_LOOK_S) / 100
    return float((psutil.cpu_count() or 1) * idle + _TOLERANCE)


def _try_all(spec: ReplicaSpec, candidates: list[str]) -> EngineTrial:
    if len(candidates) == 1:
        return EngineTrial(candidates[0], (EngineFigures(candidates[0]),), max(1, int(spec.resources.cores)))
    figures = tuple(_try(spec, name, spec.environments) for name in candidates)
    for one in figures:
        _log.info("%s on %s: %s", one.runtime, spec.model, one.refused or f"{one.tokens_per_s} tokens/s")
    able = [one for one in figures if one.tokens_per_s]
    if not able:
        raise Unprocessable(f"No engine of this machine serves {spec.model}: {figures[0].refused}", field="runtime")
    return EngineTrial(max(able, key=_speed).runtime, figures, max(1, int(spec.resources.cores)))


def _speed(figures: EngineFigures) -> float:
    """Geometric mean over the numbers of streams: a tenth more counts the same at each."""
    return math.fsum(math.log(max(value, 1e-3)) for value in figures.tokens_per_s.values())


def _try(spec: ReplicaSpec, name: str, environments: Mapping[str, str]) -> EngineFigures:
    told = [spec.bundle, name, msgspec.json.encode(spec.resources).decode(), str(os.getpid())]
    command = [environments.get(name, sys.executable), "-m", "gristmill.serving.worker.trial", *told]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_LONGEST_S, check=True)
        return msgspec.json.decode(ended.stdout.strip().rpartition(b"\n")[2], type=EngineFigures)
    except subprocess.TimeoutExpired:
        return EngineFigures(name, refused=f"{name} did not come to an end within {_LONGEST_S:.0f} s.")
    except (OSError, subprocess.CalledProcessError, msgspec.DecodeError) as error:
        words = getattr(error, "stderr", b"") or b""
        _log.warning("the trial of %s failed: %s", name, words.decode(errors="replace")[-2000:] or error)
        return EngineFigures(name, refused=f"{name} failed: see `gristmill endpoints logs {spec.endpoint}`.")
