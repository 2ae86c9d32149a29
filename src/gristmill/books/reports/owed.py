"""What keys owe, as the reports of profit count it: in the books' own currency, in which costs stand.

The key owes the currency of its price (invoices, FOCUS and the accounts have it). Against costs it is set at the
exchange rate of its day: the one that holds when the day ends, or else when it begins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from gristmill.books import rate_cards
from gristmill.books.exchange import rate_of_day
from gristmill.books.rate_cards import EXCHANGE, Rate
from gristmill.books.records import Row
from gristmill.books.reports.scope import Scope
from gristmill.core.money import MICRO

_ACCOUNT = "receivable:"
_BY = ("version", "account")


class Owed(NamedTuple):
    version: str
    key: str
    currency: str
    micro: int


def owed(scope: Scope) -> Iterator[Owed]:
    """By version, key and currency; rounded once for each rate. Without a rate it stays in its own currency."""
    rates = [rate for rate in rate_cards.known(scope.connection, scope.tenant) if rate.card == EXCHANGE]
    foreign = {rate.item for rate in rates}
    rows = scope.money(_BY, _ACCOUNT)
    yield from (_told(row, row["currency"], row["micro"]) for row in rows if row["currency"] not in foreign)
    for currency in sorted(foreign & {row["currency"] for row in rows}):
        yield from _exchanged(scope, currency, rates)


def _exchanged(scope: Scope, currency: str, rates: list[Rate]) -> Iterator[Owed]:
    summed: dict[tuple[str, str, Rate | None], int] = defaultdict(int)
    for row in scope.money(("day", *_BY), _ACCOUNT, where={"currency": currency}):
        summed[row["version"], row["account"], rate_of_day(rates, currency, row["day"])] += row["micro"]
    for (version, account, rate), micro in summed.items():
        row = {"version": version, "account": account}
        if rate is None:
            yield _told(row, currency, micro)
        else:
            yield _told(row, rate.currency, rate.micro(Decimal(micro) / MICRO))


def _told(row: Row, currency: str, micro: int) -> Owed:
    return Owed(row["version"], row["account"].removeprefix(_ACCOUNT), currency, micro)
