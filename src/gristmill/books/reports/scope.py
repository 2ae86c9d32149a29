"""What a report is about: one tenant's books, narrowed to a model, an endpoint, a team, a stretch of days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypedDict

from gristmill.books import records
from gristmill.books.accounts import MEMORANDUM
from gristmill.books.rate_cards import Rate
from gristmill.books.records import Connection, Row
from gristmill.core.periods import DAY_S
from gristmill.core.reports import Breakdown

Where = Mapping[str, str | bool]


class Quality(NamedTuple):
    """How good a tenant's version (NAME@N) is by its task's own metric, on rows that training never saw."""

    tenant: str
    version: str
    metric: str
    value: float
    higher_is_better: bool


class Filters(TypedDict, total=False):
    """What narrows a report. `qualities` and `proposed` are what a report needs to know from outside the books."""

    model: str | None
    endpoint: str | None
    since: float | None
    until: float | None
    team: str | None
    by: Breakdown | None
    qualities: Sequence[Quality]
    proposed: Sequence[Rate]


class Scope(NamedTuple):
    """`since` and `until` are times; whole days (UTC) are counted, both ends included."""

    connection: Connection
    tenant: str
    model: str | None = None
    endpoint: str | None = None
    since: float | None = None
    until: float | None = None
    team: str | None = None
    by: Breakdown | None = None
    qualities: Sequence[Quality] = ()
    proposed: Sequence[Rate] = ()

    def sums(self, by: Sequence[str], *accounts: str, ever: bool = False, where: Where | None = None) -> list[Row]:
        """Sums of the balances by `by`; `ever` looks past the days (an asset is what was ever put into it)."""
        return records.sums(
            self.connection, self.tenant, by, accounts=accounts,
            where={"model": self.model, "endpoint": None if ever else self.endpoint, **(where or {})},
            since=None if ever else self.since, until=None if ever else self.until,
        )  # fmt: skip

    def money(self, by: Sequence[str], *accounts: str, ever: bool = False, where: Where | None = None) -> list[Row]:
        """The same with `currency` among the keys, without memoranda."""
        rows = self.sums((*by, "currency"), *accounts, ever=ever, where=where)
        return [row for row in rows if row["currency"] != MEMORANDUM]

    def holds(self, day: int) -> bool:
        """Whether the day (since the epoch) is among those asked for."""
        begins = self.since is None or self.since // DAY_S <= day
        return begins and (self.until is None or day <= self.until // DAY_S)

    def counts(self, by: Sequence[str], *accounts: str) -> dict[tuple[str, ...], int]:
        """Whole quantities by `by`, added over whatever else differs."""
        counted: dict[tuple[str, ...], int] = defaultdict(int)
        for row in self.sums(by, *accounts):
            counted[tuple(row[name] for name in by)] += round(row["quantity"])
        return counted
