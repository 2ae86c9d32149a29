"""What a framework brings so that generated text can be explained by gradients, beside whatever engine generates it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core.types import Resources


class Way(NamedTuple):
    """From `nothing`'s embedding at every token of the prompt that `moves` to their own; see explanation's Along."""

    prompt: Sequence[int]
    moves: Sequence[bool]
    nothing: int
    answer: Sequence[int]
    place: int  # of the answer's token whose log probability is attributed
    steps: int
    adapter: Path | None = None  # the folder of the LoRA adapter that wrote the answer


class Owed(NamedTuple):
    values: np.ndarray  # float64 [prompt tokens], summed over the embedding's width; 0 where nothing moves
    delta: float  # the convergence error: their sum less what the log probability gained along the way


class TextGradients(Protocol):
    """Registered in `gristmill.text_gradients` under each runtime whose bundles it opens. Called from one thread."""

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> TextGradients:
        """A model of its own: an engine's weights may be packed or of few bits. Raises Unprocessable, CorruptBundle."""
        ...

    def attribute(self, way: Way) -> Iterator[Owed | None]:
        """Computes a little at each step, so that others' texts go on between them; the last gives what is owed.

        Raises Unprocessable, CorruptBundle on an adapter that does not fit.
        """
        ...
