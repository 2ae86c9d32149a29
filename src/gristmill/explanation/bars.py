"""Attributions by feature or token as horizontal bars, the strongest first."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gristmill.explanation.colour import coloured, scaled
from gristmill.explanation.document import Explanation

_MOST = 20  # bars that a picture shows
_NAME_WIDTH, _BAR_WIDTH, _ROW_HEIGHT, _VALUE_WIDTH = 170, 240, 20, 80
_LONGEST_NAME = 26


def bar_chart(explanation: Explanation) -> Image.Image:
    values = np.asarray(explanation.values, np.float64).reshape(-1)
    names = explanation.names or [f"feature {place}" for place in range(len(values))]
    order = np.argsort(-np.abs(values), kind="stable")[:_MOST]
    width, height = _NAME_WIDTH + _BAR_WIDTH + _VALUE_WIDTH, _ROW_HEIGHT * max(1, len(order)) + 8
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    middle = _NAME_WIDTH + _BAR_WIDTH // 2
    relative = scaled(values)
    for line, place in enumerate(order):
        top = 4 + line * _ROW_HEIGHT
        reach = middle + round(relative[place] * (_BAR_WIDTH // 2 - 2))
        colour = tuple(int(part) for part in coloured(np.asarray(0.75 * np.sign(relative[place]))))
        draw.rectangle((min(middle, reach), top + 2, max(middle, reach), top + _ROW_HEIGHT - 4), fill=colour)
        _write(draw, names[place], (6, top + 3))
        _write(draw, f"{values[place]:+.4g}", (_NAME_WIDTH + _BAR_WIDTH + 6, top + 3))
    draw.line((middle, 2, middle, height - 2), fill="grey")
    return picture


def _write(draw: ImageDraw.ImageDraw, text: str, at: tuple[int, int]) -> None:
    short = text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
    draw.text(at, short, fill="black", font=ImageFont.load_default(12))
