"""Columns that a task cannot do without, by name: known of a dataset before a row of it is read."""

from __future__ import annotations

from collections.abc import Collection

from gristmill.core.errors import Unprocessable


def check_there(names: Collection[str], *wanted: str) -> None:
    """Raises Unprocessable naming the first of `wanted` that is not among the columns' names."""
    for name in wanted:
        if name not in names:
            raise Unprocessable(f"The data has no column {name!r}: its columns are {', '.join(names)}.",
                                field=name, expected=list(names))  # fmt: skip
