"""What a forecast of a model is asked in words: its inputs, and figures as people write them (rows=5000)."""

from __future__ import annotations

import math
from enum import StrEnum

from gristmill.core.errors import Unprocessable


class Input(StrEnum):
    """What goes into a version; `search` is how many runs it was the best of. `people` (hours) only when asked for."""

    rows = "rows"
    parameters = "parameters"
    passes = "passes"
    search = "search"
    people = "people"


OF_COMPUTE = (Input.rows.value, Input.parameters.value, Input.passes.value)  # training takes their product
PEOPLE, SEARCH = Input.people.value, Input.search.value


def parse_figure(text: str) -> tuple[str, float]:
    """`rows=5000` → ("rows", 5000.0). Raises Unprocessable unless it is a name and a finite number."""
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not name.strip() or not math.isfinite(value):
        raise Unprocessable(f"{text!r} is no NAME=NUMBER, as in accuracy=0.95 or rows=5000.", got=text)
    return name.strip(), value
