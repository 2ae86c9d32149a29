"""Occlusion (Zeiler, Fergus, ECCV 2014): how much the score falls when a feature, a window, a token or a stretch is
hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.explanation.options import check_names, whole
from gristmill.explanation.protocol import Attribution, Subject
from gristmill.explanation.units import Units, scores_of, targets_of, units_of
from gristmill.tasks.protocol import Tensors

_MOST_WINDOWS = 4096  # predictions an explanation of one row may take


class Occlusion:
    """Needs predictions only.

    Options: for images `window` (side in pixels, a seventh of the image) and `stride`; for histories the same in steps
    of one series.
    """

    def explain(
        self, subject: Subject, inputs: Tensors, target: int | None, options: Mapping[str, Any]
    ) -> list[Attribution]:
        units = units_of(subject, inputs)
        masks = _masks(units, options)
        scores = subject.predict({units.tensor: units.inputs})
        targets = targets_of(subject, scores, target)
        return [_explain_row(subject, units, masks, row, scores[row], int(targets[row])) for row in range(len(scores))]


def _explain_row(
    subject: Subject, units: Units, masks: np.ndarray, row: int, scores: np.ndarray, target: int
) -> Attribution:
    score = float(scores[target])
    hidden = scores_of(subject, units.tensor, units.without(row, masks), target)
    falls = (score - hidden) @ masks.reshape(len(masks), -1)
    # what several windows cover is their mean, as captum's Occlusion has it
    values = (falls / masks.reshape(len(masks), -1).sum(axis=0)).reshape(units.shape).astype(np.float32)
    if units.tensor == "tokens":
        values = values[: units.count(row)]
    return Attribution("occlusion", target, score, values, units.names[row] if units.names else None, None)


def _masks(units: Units, options: Mapping[str, Any]) -> np.ndarray:
    """What is hidden at a time: bool [M, *shape]."""
    if units.tensor == "image":
        return _windows(units.shape, options)
    return _stretches(units.grid, options) if units.grid else _singles(units.shape[0], options)


def _singles(count: int, options: Mapping[str, Any]) -> np.ndarray:
    """One unit hidden at a time: bool [count, count]."""
    check_names(options, ())
    if count > _MOST_WINDOWS:
        raise Unprocessable(f"{count} features are too many to hide one by one: at most {_MOST_WINDOWS} are taken.")
    return np.eye(count, dtype=bool)


def _windows(shape: tuple[int, ...], options: Mapping[str, Any]) -> np.ndarray:
    """Square windows that cover the image: bool [M, H, W]; the last of a row may reach over the edge."""
    check_names(options, ("window", "stride"))
    height, width = shape
    side = whole(options, "window", max(1, round(min(shape) / 7)), 1, min(shape))
    stride = whole(options, "stride", max(1, side // 2), 1, side)
    tops, lefts = _starts(height, side, stride), _starts(width, side, stride)
    _check_count(len(tops) * len(lefts), f"{side} pixels", stride)
    masks = np.zeros((len(tops) * len(lefts), height, width), bool)
    for place, (top, left) in enumerate((top, left) for top in tops for left in lefts):
        masks[place, top : top + side, left : left + side] = True
    return masks


def _stretches(grid: tuple[int, int], options: Mapping[str, Any]) -> np.ndarray:
    """Steps of one series that follow each other: bool [M, window · S]."""
    check_names(options, ("window", "stride"))
    steps, series = grid
    length = whole(options, "window", max(1, round(steps / 7)), 1, steps)
    stride = whole(options, "stride", max(1, length // 2), 1, length)
    starts = _starts(steps, length, stride)
    _check_count(len(starts) * series, f"{length} steps", stride)
    masks = np.zeros((len(starts), series, steps, series), bool)
    for place, start in enumerate(starts):
        for one in range(series):
            masks[place, one, start : start + length, one] = True
    return masks.reshape(len(starts) * series, -1)


def _check_count(places: int, window: str, stride: int) -> None:
    if places > _MOST_WINDOWS:
        raise Unprocessable(
            f"A window of {window} and a stride of {stride} give {places} places: "
            f"at most {_MOST_WINDOWS} are taken, so choose a larger stride.", field="stride", got=stride,
        )  # fmt: skip


def _starts(length: int, side: int, stride: int) -> range:
    return range(0, -(-(length - side) // stride) * stride + 1, stride)
