"""What a rule may ask the books while it makes an event's postings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from gristmill.books import accounts, rate_cards, records
from gristmill.books.amortization import Method
from gristmill.books.events import DEFAULT_EXPECTED_UNITS
from gristmill.books.rate_cards import Rate
from gristmill.books.records import Connection, Row
from gristmill.core.errors import NotFound


class Asset(NamedTuple):
    """What is left of a version's asset, by currency; units that it is expected to serve, and has served.

    `parameter` is the method's own (see `writing_down`), `written_until` seconds since the epoch.
    """

    left: dict[str, int]
    expected: int
    served: int
    method: Method
    parameter: int
    written_until: int


class Book:
    """One tenant's books as they stand, at a moment that something happened; only read here."""

    def __init__(
        self, connection: Connection, tenant: str, rates: list[Rate], happened_at: float, known_at: float
    ) -> None:
        self._connection, self.tenant, self._rates = connection, tenant, rates
        self._happened_at, self._known_at = happened_at, known_at

    def at(self, happened_at: float) -> Book:
        """The same books, asked for what held at another moment."""
        return Book(self._connection, self.tenant, self._rates, happened_at, self._known_at)

    def event(self, id_: str) -> Row:
        """A stored event. Raises NotFound."""
        stored = records.stored_event(self._connection, id_)
        if stored is None or stored["tenant"] != self.tenant:
            raise NotFound(f"There is no event {id_!r} in the books: `gristmill books entries` lists them.", got=id_)
        return stored

    def lines_of(self, event: str) -> list[Row]:
        """The postings of an event, in their order."""
        return records.postings_of(self._connection, event)

    def reratings(self, event: str) -> list[str]:
        """Ids of the re-ratings of an event that were not reversed, oldest first."""
        return records.reratings_of(self._connection, event)

    def taken_by(self, account: str, event: str) -> str | None:
        """NAME@N that took what the event put on an account in the making; None while it stands there."""
        return records.version_that_took(self._connection, self.tenant, account, event)

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
        """NAME@N that the run made, or whose cost the run's is part of, once it is capitalised."""
        made = self.sums(("version",), "units:expected:", run=run)
        part = self.sums(("version",), accounts.version_asset(""), run=run)
        rows = [row["version"] for row in made if row["quantity"] > 0]
        return next(iter(rows + [row["version"] for row in part if row["micro"] or row["quantity"] > 0]), None)

    def expensed(self, run: str) -> bool:
        """Whether the run's inputs were given up as an experiment's."""
        return any(row["micro"] for row in self.sums(("currency",), accounts.EXPERIMENTS, run=run))

    def value(self, asset: str, run: str | None = None) -> dict[str, int]:
        """What an asset (of one run on it) is worth by currency: a version's, less what is written down and off."""
        prefix = accounts.version_asset("")
        if asset.startswith(prefix):
            return self.book_values(asset.removeprefix(prefix))
        rows = self.sums(("currency",), asset, run=run)
        return {row["currency"]: row["micro"] for row in rows if row["currency"] != accounts.MEMORANDUM}

    def retired(self, version: str) -> bool:
        return self.quantity(accounts.written_off(version)) > 0

    def asset(self, version: str) -> Asset:
        """A version's asset and its units; where nobody estimated them, the default, assumed."""
        expected, served = accounts.expected_units(version), accounts.served_units(version)
        policy, until = accounts.write_down(version), accounts.written_until(version)
        names = (*_asset_accounts(version), expected, served, policy, until)
        values: dict[str, int] = defaultdict(int)
        units: dict[str, int] = defaultdict(int)
        method, parameter = Method.units_of_production, 0
        for row in self.sums(("account", "currency"), *names):
            if row["currency"] != accounts.MEMORANDUM:
                values[row["currency"]] += row["micro"]
            units[row["account"]] += round(row["quantity"])
        if units[policy]:
            method, parameter = self._method(policy)
        return Asset(dict(values), units[expected] or DEFAULT_EXPECTED_UNITS, units[served], method, parameter,
                     units[until])  # fmt: skip

    def _method(self, policy: str) -> tuple[Method, int]:
        rows = [row for row in self.sums(("item",), policy) if round(row["quantity"]) > 0]
        return Method(rows[-1]["item"]), round(rows[-1]["quantity"])


def _asset_accounts(version: str) -> tuple[str, str, str]:
    return accounts.version_asset(version), accounts.amortised(version), accounts.written_off(version)
