"""An explanation as a picture (PNG, by Pillow alone) or as a page (HTML)."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from gristmill.explanation.bars import bar_chart
from gristmill.explanation.colour import coloured, scaled
from gristmill.explanation.document import Explanation
from gristmill.explanation.heat_map import heat_map
from gristmill.explanation.legend import legend_lines, write_lines


def render_png(explanation: Explanation, raw: Mapping[str, np.ndarray]) -> bytes:
    """A heat map over the image, or bars by feature or token. `raw`: the explained row's tensors, without batch."""
    if "image" in raw and np.ndim(explanation.values) == 2:
        picture = heat_map(explanation, np.asarray(raw["image"]))
    else:
        picture = bar_chart(explanation)
    buffer = io.BytesIO()
    _with_legend(picture, explanation).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def render_html(explanation: Explanation, raw: Mapping[str, np.ndarray]) -> str:
    """Tokens or features on the colour of what they say, as a piece of HTML; every text is escaped."""
    values = scaled(np.asarray(explanation.values, np.float64))
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in legend_lines(explanation))
    if values.ndim != 1:
        return f'<div class="explanation">{lines}</div>'
    names = explanation.names or [f"feature {place}" for place in range(len(values))]
    marked = " ".join(_marked(name, value) for name, value in zip(names, values, strict=True))
    return f'<div class="explanation">{lines}<p>{marked}</p></div>'


def _marked(name: str, value: float) -> str:
    red, green, blue = coloured(np.asarray(value))
    ink = "#fff" if 0.299 * red + 0.587 * green + 0.114 * blue < 128 else "#000"
    style = f"background:rgb({red},{green},{blue});color:{ink};padding:0 .15em"
    return f'<mark style="{style}" title="{value:+.3f}">{html.escape(name)}</mark>'


def _with_legend(picture: Image.Image, explanation: Explanation) -> Image.Image:
    lines = legend_lines(explanation)
    height = 16 * len(lines) + 12
    whole = Image.new("RGB", (max(picture.width, 420), picture.height + height), "white")
    whole.paste(picture, (0, 0))
    write_lines(ImageDraw.Draw(whole), lines, (8, picture.height + 6))
    return whole
