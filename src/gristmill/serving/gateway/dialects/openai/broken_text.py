"""Where in a body stands a text that is no Unicode: bytes that are no UTF-8, or half of a surrogate pair."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_BROKEN = re.compile("[\ud800-\udfff]").search


def broken_place(body: bytes) -> str | None:
    """`messages[0].content`; None where all texts are whole, or the body is no JSON."""
    try:
        document = json.loads(body.decode("utf-8", "surrogateescape"))
        return next(_places(document, ""), None)
    except (ValueError, RecursionError):
        return None


def _places(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, str) and _BROKEN(value):
        yield place or "body"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _places(item, f"{place}[{number}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            if _BROKEN(name):
                yield place or "body"
            yield from _places(item, f"{place}.{name}" if place else name)
