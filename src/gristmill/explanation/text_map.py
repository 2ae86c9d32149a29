"""Generated text explained as a picture: a row for each unit of the prompt, a column for each token of the answer."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gristmill.explanation.colour import coloured, scaled
from gristmill.explanation.document import Explanation
from gristmill.explanation.text_page import shown

_CELL = 18
_NAMES, _OUTPUTS = 170, 110  # pixels beside and above the cells
_LONGEST = 24
_MOST_ROWS, _MOST_COLUMNS = 64, 64


def text_map(explanation: Explanation) -> Image.Image:
    """Of longer prompts and answers: the units that matter most, in their order, and the first tokens."""
    values = np.asarray(explanation.values, np.float64)[:_MOST_COLUMNS]
    rows = np.sort(np.argsort(-np.abs(values).sum(axis=0), kind="stable")[:_MOST_ROWS])
    names, outputs = explanation.names or [], explanation.outputs or []
    cells = coloured(scaled(values)[:, rows].T)
    width, height = _NAMES + _CELL * cells.shape[1] + 8, _OUTPUTS + _CELL * cells.shape[0] + 4
    picture = Image.new("RGB", (width, height), "white")
    enlarged = Image.fromarray(cells).resize((_CELL * cells.shape[1], _CELL * cells.shape[0]), Image.Resampling.NEAREST)
    picture.paste(enlarged, (_NAMES, _OUTPUTS))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for line, place in enumerate(rows):
        draw.text((6, _OUTPUTS + _CELL * line + 1), _short(names[place]), fill="black", font=font)
    for column, token in enumerate(outputs[: cells.shape[1]]):
        picture.paste(_upright(_short(token), font), (_NAMES + _CELL * column, 2))
    return picture


def _upright(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> Image.Image:
    label = Image.new("RGB", (_OUTPUTS - 4, _CELL), "white")
    ImageDraw.Draw(label).text((2, 1), text, fill="black", font=font)
    return label.rotate(90, expand=True)


def _short(text: str) -> str:
    visible = shown(text)
    return visible if len(visible) <= _LONGEST else visible[: _LONGEST - 1] + "…"
