"""A recipe's `preprocessing`: what a task takes, with its defaults and bounds."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from gristmill.core.errors import Unprocessable


def check_options(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`given` over `defaults`, each of its default's type. Raises Unprocessable naming the nearest right field."""
    for name, value in given.items():
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(defaults) or 'none'}."
            raise Unprocessable(f"The recipe has no field 'preprocessing.{name}' for this task: {hint}", field=name)
        expected = type(defaults[name])
        if not isinstance(value, expected) or (expected is int and (isinstance(value, bool) or value < 1)):
            wanted = "a whole number of 1 or more" if expected is int else expected.__name__
            raise Unprocessable(f"The recipe's preprocessing.{name} should be {wanted}, and is {value!r}.",
                                field=name, got=value)  # fmt: skip
    return {**defaults, **given}
