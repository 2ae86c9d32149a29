"""Rate the past again by the rates known now: a reversal and a new posting each, linked; or only what that would do."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from gristmill.books import records
from gristmill.books.accounts import MEMORANDUM
from gristmill.books.book import Book
from gristmill.books.events import rerated
from gristmill.books.exchange import ITEM
from gristmill.books.posting import post
from gristmill.books.rate_cards import seeded
from gristmill.books.records import Connection
from gristmill.books.rerating import RATED_KINDS
from gristmill.books.rerating import rerated as lines_of

# every price stands on one of the first two once, as a credit; what foreign money was in the books' own on the third
_SIDES = ("inputs:", "revenue:", "exchange:")


def rerate(connection: Connection, tenant: str, since: float, at: float, *, dry_run: bool = False) -> dict[str, Any]:
    """{events, dry_run, rows}: how many events since `since` have other rates now, and what changed by item.

    The new postings are of `at`: what was told about the past stays, and the change stands where it became known. With
    `dry_run` nothing is posted. An event is rated whole, at the moment it happened.
    """
    savepoint = connection.begin_nested()
    rates, changed = seeded(connection, tenant), 0
    sums: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: {"old_micro": 0, "new_micro": 0})
    for id_ in records.rated_events(connection, tenant, RATED_KINDS, since):
        if not lines_of(Book(connection, tenant, rates, at, at), id_):
            continue
        event = rerated(tenant, id_, at)
        if post(connection, event, at):
            changed += 1
            _add(connection, event.id, sums)
    if dry_run:
        savepoint.rollback()
    else:
        savepoint.commit()
    rows = [
        {"account": account, "item": item, "currency": currency, **micro,
         "change_micro": micro["new_micro"] - micro["old_micro"]}
        for (account, item, currency), micro in sorted(sums.items())
    ]  # fmt: skip
    return {"events": changed, "dry_run": dry_run, "rows": rows}


def _add(connection: Connection, event: str, sums: dict[tuple[str, str, str], dict[str, int]]) -> None:
    for row in records.postings_of(connection, event):
        side = row["account"]
        if not side.startswith(_SIDES) or row["currency"] == MEMORANDUM:
            continue
        if side.startswith("exchange:") and row["item"] != ITEM:
            continue
        taken_back = row["micro"] > 0
        key = (side, row["item"] or "", row["currency"])
        sums[key]["old_micro" if taken_back else "new_micro"] += abs(row["micro"])
