"""How fast an endpoint writes, and with how much energy: figures of the newest generated texts in the books."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gristmill.books import usage_records
from gristmill.control.records import Connection
from gristmill.core.measurement import Meter

Document = dict[str, Any]
WINDOW_S = 3600.0
_MOST = 1000


def text_figures(connection: Connection, tenant: str, endpoint: str, now: float) -> Document | None:
    """{texts, window_s, first_token_s, per_token_s: {p50, p95} or None, energy}; None where nothing was written."""
    rows = usage_records.newest_texts(connection, tenant, endpoint, now - WINDOW_S, _MOST)
    if not rows:
        return None
    return {
        "texts": len(rows),
        "window_s": WINDOW_S,
        "first_token_s": _percentiles(rows, "first_token_us"),
        "per_token_s": _percentiles(rows, "per_token_us"),
        "energy": _energy(rows),
    }


def _percentiles(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, float] | None:
    """Nearest rank: each is the time of a text that was written."""
    found = sorted(row[column] / 1e6 for row in rows if row[column] is not None)
    return {f"p{share}": found[math.ceil(share / 100 * len(found)) - 1] for share in (50, 95)} if found else None


def _energy(rows: Sequence[Mapping[str, Any]]) -> Document | None:
    """Of a thousand tokens that were computed: what was reused of prompts took none."""
    known = [row for row in rows if row["energy_uj"] is not None]
    tokens = sum(count for row in known for kind, count in row["tokens"].items() if kind != "cached")
    if not tokens:
        return None
    joules = sum(row["energy_uj"] for row in known) / 1e6
    return {"joules_per_1000_tokens": joules / tokens * 1000, "basis": str(Meter().read().energy.basis)}
