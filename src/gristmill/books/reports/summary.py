"""The balance of every kind of account, and what came out: versions, requests, predictions, tokens by class."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import found
from gristmill.books.reports.unit_cost import answered

_CREDIT = ("inputs", "amortised", "written-off", "revenue")
_NAMED = ("inputs", "expense")  # whose second word is a kind, too, and not a thing's name


def report(scope: Scope) -> dict[str, Any]:
    """Balances are shown in the account's own nature: what went in and what was earned are positive, too."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in scope.money(("account",)):
        kind, _, rest = row["account"].partition(":")
        name = f"{kind}:{rest}" if kind in _NAMED else _of_assets(kind, rest)
        sums[name, row["currency"]] += -row["micro"] if kind in _CREDIT else row["micro"]
    rows = [
        {"account": account, "currency": currency, "balance_micro": micro}
        for (account, currency), micro in sorted(sums.items())
    ]
    return found("summary", rows) | _outputs(scope)


def _outputs(scope: Scope) -> dict[str, Any]:
    tokens: dict[str, int] = {}
    for (kind,), number in scope.counts(("item",), "units:tokens:").items():
        tokens[kind] = tokens.get(kind, 0) + number
    return {
        "versions": sum(map(scope.holds, _made(scope).values())),
        "requests": sum(answered(scope).values()),
        "predictions": sum(scope.counts(("version",), "units:served:").values()),
        "tokens": tokens,
    }


def _made(scope: Scope) -> dict[str, int]:
    """The day on which each version was made: later ones hold new estimates of its units."""
    made: dict[str, int] = {}
    for row in scope.sums(("version", "day"), "units:expected:", ever=True):
        if row["quantity"]:
            made.setdefault(row["version"], row["day"])
    return made


def _of_assets(kind: str, rest: str) -> str:
    return f"{kind}:{rest.partition(':')[0]}" if kind == "assets" else kind
