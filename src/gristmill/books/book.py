"""What a rule may ask the books while it makes an event's postings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from gristmill.books import accounts, rate_cards, records
from gristmill.books.events import DEFAULT_EXPECTED_UNITS
from gristmill.books.rate_cards import Rate
from gristmill.books.records import Connection, Row


class Asset(NamedTuple):
    """What is left of a version's asset, by currency; units that it is expected to serve, and has served."""

    left: dict[str, int]
    expected: int
    served: int


class Book:
    """One tenant's books as they stand, at a moment that something happened; only read here."""

    def __init__(
        self, connection: Connection, tenant: str, rates: list[Rate], happened_at: float, known_at: float
    ) -> None:
        self._connection, self.tenant, self._rates = connection, tenant, rates
        self._happened_at, self._known_at = happened_at, known_at

    def rate(self, card: str, item: str) -> Rate | None:
        return rate_cards.lookup(self._rates, card, item, self._happened_at, self._known_at)

    def sums(self, by: Sequence[str], *accounts_: str, **where: str | bool | None) -> list[Row]:
        return records.sums(self._connection, self.tenant, by, accounts=accounts_, where=where)

    def standing(self, account: str, item: str, rate: Rate | None, run: str | None = None) -> tuple[float, int]:
        """Quantity and money of an item on an account that a rate priced so far."""
        if rate is None:
            return 0.0, 0
        rows = self.sums((), account, item=item, rate=rate.id, run=run)
        return sum(row["quantity"] for row in rows), sum(row["micro"] for row in rows)

    def quantity(self, account: str) -> int:
        """Of a memorandum account, whole units."""
        return int(sum(round(row["quantity"]) for row in self.sums((), account)))

    def book_values(self, version: str) -> dict[str, int]:
        """What is left of a version's asset, by currency: put in, less written down, less written off."""
        rows = self.sums(("currency",), *_asset_accounts(version))
        return {row["currency"]: row["micro"] for row in rows if row["currency"] != accounts.MEMORANDUM}

    def version_of(self, run: str) -> str | None:
        """NAME@N that the run made, once its inputs are capitalised."""
        rows = self.sums(("version",), "units:expected:", run=run)
        return next((row["version"] for row in rows if row["quantity"] > 0), None)

    def expensed(self, run: str) -> bool:
        """Whether the run's inputs were given up as an experiment's."""
        return any(row["micro"] for row in self.sums(("currency",), accounts.EXPERIMENTS, run=run))

    def retired(self, version: str) -> bool:
        return self.quantity(accounts.written_off(version)) > 0

    def asset(self, version: str) -> Asset:
        """A version's asset and its units; where nobody estimated them, the default, assumed."""
        expected, served = accounts.expected_units(version), accounts.served_units(version)
        names = (*_asset_accounts(version), expected, served)
        values: dict[str, int] = defaultdict(int)
        units: dict[str, int] = defaultdict(int)
        for row in self.sums(("account", "currency"), *names):
            if row["currency"] == accounts.MEMORANDUM:
                units[row["account"]] += round(row["quantity"])
            else:
                values[row["currency"]] += row["micro"]
        return Asset(dict(values), units[expected] or DEFAULT_EXPECTED_UNITS, units[served])


def _asset_accounts(version: str) -> tuple[str, str, str]:
    return accounts.version_asset(version), accounts.amortised(version), accounts.written_off(version)
