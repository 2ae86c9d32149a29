"""What came of trying a version's engines on this machine: written by the first worker that opens it, read by all."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gristmill.core.files import write_atomic

# Share of waiting. SmolLM2 by llama.cpp on two cores: 0.00 to 0.05 alone, 0.26 to 0.32 beside one busy process, 0.72 to
# 0.85 beside ten.
_DISTURBED = 0.15
AUTO = "auto"  # in a runtime's place: the one that a trial chooses


class EngineFigures(msgspec.Struct, frozen=True, omit_defaults=True):
    """`tokens_per_s`: new tokens a second over all streams, by the number of streams, prompts included."""

    runtime: str
    tokens_per_s: dict[str, float] = {}
    load_s: float = 0.0
    waited: float = 0.0  # of the time in which its threads had something to compute, the share of waiting for a core
    refused: str | None = None  # why it cannot serve the version


class EngineTrial(msgspec.Struct, frozen=True):
    chosen: str
    figures: tuple[EngineFigures, ...]
    cores: int

    @property
    def waited(self) -> float:
        """Of the engine that waited most: one that was held up may have lost by that."""
        return max((one.waited for one in self.figures), default=0.0)

    @property
    def disturbed(self) -> bool:
        """Whether the machine was so busy with other things that the figures tell little."""
        return len(self.figures) > 1 and self.waited > _DISTURBED


def trial_path(folder: Path, digest: str, cores: int) -> Path:
    return folder / f"{digest.removeprefix('sha256:')}-{cores}.json"


def read_trial(path: Path) -> EngineTrial | None:
    """None where there was none, or it is of another format."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=EngineTrial)
    except (OSError, msgspec.DecodeError):
        return None


def write_trial(path: Path, trial: EngineTrial) -> None:
    write_atomic(path, msgspec.json.encode(trial))
