"""What the usage of a time would cost, or would have earned, by other rates: proposed ones, or those known since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from math import inf
from typing import Any

from gristmill.books import rate_cards
from gristmill.books.accounts import MEMORANDUM
from gristmill.books.rate_cards import COST, PRICE, Rate
from gristmill.books.records import Row
from gristmill.books.reports.records import first_and_last_day, lines_of_day
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import Cells, found
from gristmill.core.periods import DAY_S
from gristmill.core.prices import parse_proposal
from gristmill.core.types import Basis
from gristmill.core.units import BASE_UNITS, base_item

_ACCOUNTS = ("inputs:", "revenue:")  # whose lines hold every quantity once, as a credit
_BY = ("account", "item", "unit", "rate", "endpoint", "model", "currency")
_NOTES = (
    "old: as the books stand. new: the same quantities by the rates proposed, and by those known by now for the rest. "
    "change = new - old; nothing is posted.",
    "What its event priced itself (data, hours with a rate of their own) has no rate, and stays out.",
)


def report(scope: Scope) -> dict[str, Any]:
    known = rate_cards.known(scope.connection, scope.tenant)
    by_id = {rate.id: rate for rate in known}
    cells = Cells(("old_micro", "new_micro"))
    quantities: dict[tuple[str, str], float] = defaultdict(float)
    priced: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    for line, at in _lines(scope, known):
        card, quantity = PRICE if line["account"].startswith("revenue:") else COST, -line["quantity"]
        if not quantity or not (line["rate"] or line["unpriced"]):
            continue
        item = base_item(line["item"])
        new = _rate(scope.proposed, known, card, _narrowed(line, by_id), at)
        quantities[card, item] += quantity
        if line["currency"] != MEMORANDUM:
            cells.add((card, item, line["currency"]), "old_micro", -line["micro"])
        if new is not None and new.id == line["rate"]:
            cells.add((card, item, new.currency), "new_micro", -line["micro"])
        elif new is not None:  # summed before it is rounded, as the books carry fractions on
            priced[card, item, new.id, line["account"] + line["endpoint"]] += Decimal(repr(quantity))
            by_id.setdefault(new.id, new)
    for (card, item, id_, _), total in priced.items():
        cells.add((card, item, by_id[id_].currency), "new_micro", by_id[id_].micro(total))
    rows = [
        {"card": card, "item": item, "currency": currency, "quantity": round(quantities[card, item], 6),
         "unit": BASE_UNITS[item], **values,
         "change_micro": values["new_micro"] - values["old_micro"]}
        for (card, item, currency), values in cells
    ]  # fmt: skip
    return found("rate-change", rows, _NOTES)


def proposal(text: str) -> Rate:
    """`compute.cpu=0.031USD/core_hour` → a rate of all times that nobody stored. Raises Unprocessable."""
    item, price, currency, unit = parse_proposal(text)
    card = PRICE if item.startswith("serving.") else COST
    return Rate(f"proposed:{text}", card, item, unit, price, currency, Basis.assumed.value, 0.0, None, 0.0, "proposed")


def _lines(scope: Scope, known: Sequence[Rate]) -> Iterator[tuple[Row, float]]:
    """Every line, and a moment at which its rate would be asked for.

    Days in which some rate begins or ends are read from the postings, each with its own moment; the days between them
    are summed, a stretch at a time.
    """
    days = first_and_last_day(scope.connection, scope.tenant)
    if days is None:
        return
    first = days[0] if scope.since is None else max(days[0], int(scope.since // DAY_S))
    last = days[1] if scope.until is None else min(days[1], int(scope.until // DAY_S))
    moments = {moment for rate in known for moment in (rate.valid_from, rate.valid_to) if moment is not None}
    split = {int(moment // DAY_S) for moment in moments if moment % DAY_S}
    begins = {int(moment // DAY_S) for moment in moments} | {day + 1 for day in split}
    for since, until in _stretches(first, last, begins, split):
        whole = (since, until) == days
        part = scope if whole else scope._replace(since=since * DAY_S, until=until * DAY_S)
        for row in part.sums((*_BY, "unpriced"), *_ACCOUNTS):
            yield row, since * DAY_S
    for day in sorted(split & set(range(first, last + 1))):
        for row in lines_of_day(scope.connection, scope.tenant, day, _BY, _ACCOUNTS):
            if scope.model in (None, row["model"]) and scope.endpoint in (None, row["endpoint"]):
                yield row, row["happened_at"]


def _stretches(first: int, last: int, begins: set[int], split: set[int]) -> Iterator[tuple[int, int]]:
    """Days from `first` to `last`, cut where a rate begins or ends, without those that are split themselves."""
    starts = sorted({first, *(day for day in begins if first < day <= last)})
    for start, following in zip(starts, [*starts[1:], last + 1], strict=True):
        if start not in split:
            yield start, following - 1


def _narrowed(line: Row, by_id: dict[str, Rate]) -> str:
    """The item as its rate narrows it: by the endpoint, or as the rate that priced it did."""
    if line["endpoint"] and line["item"].startswith("serving."):
        return f"{line['item']}:{line['endpoint']}"
    old = by_id.get(line["rate"])
    return old.item if old is not None else str(line["item"])


def _rate(proposed: Sequence[Rate], known: Sequence[Rate], card: str, item: str, at: float) -> Rate | None:
    for rates in (proposed, known):
        rate = rate_cards.lookup(list(rates), card, item, at, inf)
        if rate is not None:
            return rate
    return None
