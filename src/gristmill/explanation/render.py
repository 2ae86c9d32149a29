"""An explanation as a picture (PNG, by Pillow alone) or as a page (HTML)."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from gristmill.explanation.bars import bar_chart
from gristmill.explanation.document import Explanation
from gristmill.explanation.heat_map import heat_map
from gristmill.explanation.legend import legend_lines, write_lines
from gristmill.explanation.text_map import text_map
from gristmill.explanation.text_page import marked_text, text_page


def render_png(explanation: Explanation, raw: Mapping[str, np.ndarray]) -> bytes:
    """A heat map, of an image or of generated text, or bars by feature or token.

    `raw`: the explained row's tensors, without batch.
    """
    if "image" in raw and np.ndim(explanation.values) == 2:
        picture = heat_map(explanation, np.asarray(raw["image"]))
    elif explanation.outputs is not None:
        picture = text_map(explanation)
    else:
        picture = bar_chart(explanation)
    buffer = io.BytesIO()
    _with_legend(picture, explanation).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def render_html(explanation: Explanation, raw: Mapping[str, np.ndarray]) -> str:
    """Tokens or features on the colour of what they say, as a piece of HTML; every text is escaped."""
    if explanation.outputs is not None:
        return text_page(explanation)
    values = np.asarray(explanation.values, np.float64)
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in legend_lines(explanation))
    if values.ndim != 1:
        return f'<div class="explanation">{lines}</div>'
    names = explanation.names or [f"feature {place}" for place in range(len(values))]
    return f'<div class="explanation">{lines}<p>{marked_text(names, values, " ")}</p></div>'


def _with_legend(picture: Image.Image, explanation: Explanation) -> Image.Image:
    lines = legend_lines(explanation)
    height = 16 * len(lines) + 12
    whole = Image.new("RGB", (max(picture.width, 420), picture.height + height), "white")
    whole.paste(picture, (0, 0))
    write_lines(ImageDraw.Draw(whole), lines, (8, picture.height + 6))
    return whole
