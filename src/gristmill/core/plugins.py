"""One door for built-ins and strangers alike: Python entry points, looked up by group and name, imported on use."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from gristmill.core.errors import Unprocessable

GROUPS = (
    "tasks", "architectures", "trainers", "runtimes", "importers", "converters", "exporters", "explainers", "dialects",
    "engines",
)  # fmt: skip


@cache
def _group(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"gristmill.{group}")}


def names(group: str) -> list[str]:
    """The names registered in `group` (one of GROUPS), sorted; nothing is imported."""
    return sorted(_group(group))


@cache
def load(group: str, name: str) -> Any:
    """The object registered as `name`. Raises Unprocessable naming what exists, and the nearest name."""
    entry = _group(group).get(name)
    if entry is None:
        known = names(group)
        near = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise Unprocessable(
            f"There is no {group.removesuffix('s')} named {name!r}: installed are {', '.join(known) or 'none'}.{hint}",
            got=name,
            expected=known,
        )
    return entry.load()
