"""What a rule may ask the books while it makes an event's postings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gristmill.books import accounts, rate_cards, records
from gristmill.books.events import DEFAULT_EXPECTED_UNITS
from gristmill.books.rate_cards import Rate
from gristmill.books.records import Connection, Row


class Book:
    """One tenant's books as they stand, at a moment that something happened; only read here."""

    def __init__(self, connection: Connection, tenant: str, happened_at: float, known_at: float) -> None:
        self._connection, self.tenant = connection, tenant
        self._happened_at, self._known_at = happened_at, known_at

    def rate(self, card: str, item: str) -> Rate | None:
        return rate_cards.lookup(self._connection, self.tenant, card, item, self._happened_at, self._known_at)

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
        names = (accounts.version_asset(version), accounts.amortised(version), accounts.written_off(version))
        values: dict[str, int] = defaultdict(int)
        for row in self.sums(("currency",), *names):
            values[row["currency"]] += row["micro"]
        values.pop(accounts.MEMORANDUM, None)
        return dict(values)

    def version_of(self, run: str) -> str | None:
        """NAME@N that the run made, once its inputs are capitalised."""
        rows = self.sums(("version",), "units:expected:", run=run)
        return next((row["version"] for row in rows if row["quantity"] > 0), None)

    def expensed(self, run: str) -> bool:
        """Whether the run's inputs were given up as an experiment's."""
        return any(row["micro"] for row in self.sums(("currency",), accounts.EXPERIMENTS, run=run))

    def retired(self, version: str) -> bool:
        return self.quantity(accounts.written_off(version)) > 0

    def units(self, version: str) -> tuple[int, int]:
        """Expected and served units of a version; nobody's estimate is the default, assumed."""
        expected = self.quantity(accounts.expected_units(version)) or DEFAULT_EXPECTED_UNITS
        return expected, self.quantity(accounts.served_units(version))
