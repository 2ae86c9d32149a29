"""Generated text explained as HTML: the prompt on the colour of what it did for the answer and for each token of it."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from gristmill.explanation.colour import coloured, scaled
from gristmill.explanation.document import Explanation
from gristmill.explanation.legend import legend_lines

_TEXT = "white-space:pre-wrap;line-height:1.7"


def text_page(explanation: Explanation) -> str:
    """A piece of HTML without scripts: each token of the answer opens to the prompt as that token saw it."""
    values = np.asarray(explanation.values, np.float64)
    names, outputs, scores = explanation.names or [], explanation.outputs or [], explanation.output_scores or []
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in legend_lines(explanation))
    total = f'<p style="{_TEXT}">{marked_text(names, values.sum(axis=0))}</p>'
    tokens = "".join(
        f"<details><summary><code>{html.escape(shown(token))}</code> {score:.3f}</summary>"
        f'<p style="{_TEXT}">{marked_text(names, row)}</p></details>'
        for token, score, row in zip(outputs, scores, values, strict=True)
    )
    return f'<div class="explanation">{lines}<h4>Prompt</h4>{total}<h4>Answer</h4>{tokens}</div>'


def marked_text(names: Sequence[str], values: np.ndarray, between: str = "") -> str:
    """Each piece on its colour; every text is escaped."""
    return between.join(_marked(*pair) for pair in zip(names, zip(values, scaled(values), strict=True), strict=True))


def _marked(name: str, value: tuple[float, float]) -> str:
    red, green, blue = coloured(np.asarray(value[1]))
    ink = "#fff" if 0.299 * red + 0.587 * green + 0.114 * blue < 128 else "#000"
    style = f"background:rgb({red},{green},{blue});color:{ink}"
    return f'<mark style="{style}" title="{value[0]:+.4g}">{html.escape(name)}</mark>'


def shown(token: str) -> str:
    """With what white space it is, in characters that every font has."""
    return token.replace("\n", "\\n").replace("\t", "\\t").replace(" ", "\u00b7")
