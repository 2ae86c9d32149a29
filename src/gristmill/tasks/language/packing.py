"""Documents laid end to end and cut into blocks of one length: no token is spent on padding but in the last block."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

IGNORED = -100  # a label that no loss counts


class Document(NamedTuple):
    """`counted`: bool of each token, whether the loss counts it."""

    tokens: np.ndarray
    counted: np.ndarray


class Blocks(NamedTuple):
    """int64 [B, T] both. Labels are the tokens themselves, not shifted, or IGNORED; a block's first has no label."""

    tokens: np.ndarray
    labels: np.ndarray


def pack(documents: Iterable[Document], length: int, end: int) -> Blocks:
    """Each document is followed by the token `end`, which is counted as its last token is."""
    parts = list(documents)
    mark = np.array([end], np.int64)
    tokens = np.concatenate([piece for one in parts for piece in (one.tokens, mark)])
    counted = np.concatenate([piece for one in parts for piece in (one.counted, one.counted[-1:])])
    blocks = -(-len(tokens) // length)
    padded = np.full(blocks * length, end, np.int64)
    padded[: len(tokens)] = tokens
    labels = np.full(blocks * length, IGNORED, np.int64)
    labels[: len(tokens)] = np.where(counted, tokens, IGNORED)
    labels[::length] = IGNORED
    return Blocks(padded.reshape(blocks, length), labels.reshape(blocks, length))
