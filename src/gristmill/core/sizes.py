"""Sizes as people write them: `64MB`, `2GiB`."""

from __future__ import annotations

import re

from gristmill.core.errors import Unprocessable

_UNITS = {"B": 1} | {
    f"{letter}{kind}": base**power
    for power, letter in enumerate("KMGT", 1)
    for kind, base in (("B", 1000), ("iB", 1024))
}
_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[KMGT]i?B|B)?")


def parse_size(text: str) -> int:
    """Bytes; without a unit they are bytes already. Raises Unprocessable.

    >>> parse_size("64MB"), parse_size("1.5GiB"), parse_size("100")
    (64000000, 1610612736, 100)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Unprocessable(f"{text!r} is not a size: write it as in 64MB or 2GiB.", got=text)
    return int(float(match["number"]) * _UNITS[match["unit"] or "B"])
