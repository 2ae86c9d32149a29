"""Which runtime a version is to be served by, and why that one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gristmill.control.state import Target
from gristmill.core import plugins
from gristmill.core.engine_trials import AUTO, EngineFigures, EngineTrial, read_trial, trial_path
from gristmill.core.errors import Unprocessable
from gristmill.registry.versions import Version


def wanted_runtime(version: Version, asked: str | None) -> str | None:
    """Of a language model the fastest where nothing is asked for. Raises Unprocessable when there is none such."""
    language = version.manifest.signature.language is not None
    if asked is None:
        return AUTO if language else None
    known = plugins.names("generators" if language else "runtimes")
    if asked not in known and not (asked == AUTO and language):
        raise Unprocessable(
            f"There is no runtime {asked!r} for {version.reference}: there are {', '.join(known)}"
            f"{', and auto' if language else ''}.", field="runtime", got=asked,
        )  # fmt: skip
    return asked


def described(target: Target, trials: Path) -> dict[str, Any]:
    """What serves the endpoint and why: {asked, chosen, because, figures}."""
    if target.runtime != AUTO:
        because = "the version's own" if target.runtime is None else "asked for at the deployment"
        return {"asked": target.runtime, "chosen": target.runtime, "because": because, "figures": []}
    cores = max(1, int(target.resources.cores))
    trial = read_trial(trial_path(trials, target.digest, cores))
    if trial is None:
        return {"asked": AUTO, "chosen": None, "because": "not tried yet", "figures": []}
    return {"asked": AUTO, "chosen": trial.chosen, "because": _because(trial),
            "figures": [_figures(one) for one in trial.figures]}  # fmt: skip


def _because(trial: EngineTrial) -> str:
    if len(trial.figures) == 1:
        return "the only one of this machine that opens the version"
    because = f"the fastest of {len(trial.figures)} with {trial.cores} core{'s' if trial.cores > 1 else ''}"
    able = [one for one in trial.figures if one.tokens_per_s]
    streams = list(able[0].tokens_per_s)
    best = {count: max(able, key=lambda one: one.tokens_per_s[count]).runtime for count in streams}
    others = [f"at {count} alone {best[count]} is" for count in streams if best[count] != trial.chosen]
    told = ", but ".join([f"{because} over {', '.join(streams)} streams", *others])
    if trial.disturbed:
        told += (f"; the machine was busy meanwhile ({trial.waited:.0%} of their time they waited for a core): they "
                 "are tried again when replicas start and cores are free")  # fmt: skip
    return told


def _figures(one: EngineFigures) -> dict[str, Any]:
    return {
        "runtime": one.runtime,
        "tokens_per_s": one.tokens_per_s,
        "load_s": one.load_s,
        "waited": one.waited,
        "refused": one.refused,
    }
