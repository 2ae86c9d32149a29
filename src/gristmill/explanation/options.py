"""Options of a request to explain: whole numbers within bounds, known by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from gristmill.core.errors import Unprocessable


def check_names(options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises Unprocessable for an option that is not known, with the nearest that is."""
    names = sorted(known)
    for name in options:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise Unprocessable(
                f"There is no option {name!r} here: there are {', '.join(names)}.{hint}", field=name, expected=names
            )


def whole(options: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    """Raises Unprocessable when the option is no whole number from `low` to `high`."""
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Unprocessable(
            f"`{name}` should be a whole number from {low} to {high}, and is {value!r}.",
            field=name, expected=f"{low} to {high}", got=value,
        )  # fmt: skip
    return value
