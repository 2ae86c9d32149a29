"""Events become postings: once each, in the caller's transaction; a mistake is reversed, nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gristmill.books import accounts, rate_cards, records
from gristmill.books.book import Book
from gristmill.books.events import Event, payload_hash
from gristmill.books.ledger import Posting, check_balanced, posting_of
from gristmill.books.overdraft import lacking
from gristmill.books.records import Connection, Row
from gristmill.books.rerating import KIND
from gristmill.books.rules.registry import rule_of
from gristmill.core.errors import Conflict, NotFound, Unprocessable
from gristmill.core.faults import fault_point
from gristmill.core.ids import derived_id
from gristmill.store.database import Database

_in_mid_event = fault_point("books.in-mid-event")
_REVERSAL = "reversal"
_CHOICES = {"units.estimated", "write-down.chosen"}


def post(connection: Connection, event: Event, recorded_at: float | None = None) -> bool:
    """Post an event with all its lines; False when it was posted before with the same payload.

    Raises Unprocessable (nothing posted), and Conflict when the id came with another payload: that is recorded in this
    transaction, so catch it inside (`telling` does), or the record is rolled back with the rest.
    """
    now = time.time() if recorded_at is None else recorded_at
    stored = records.stored_event(connection, event.id)
    if stored is not None:
        if stored["payload_hash"] == payload_hash(event):
            return False
        _refuse(connection, event, now)
        raise Conflict(
            f"The event {event.id} is in the books with another payload: it was refused; to correct it, reverse it.",
            event=event.id,
        )
    rule, rates = rule_of(event.kind), rate_cards.seeded(connection, event.tenant)
    lines = rule(event, Book(connection, event.tenant, rates, event.happened_at, now))
    _record(connection, event, lines, now)
    return True


@contextmanager
def telling(database: Database) -> Iterator[Connection]:
    """A transaction for one event that somebody tells: its refusal as a conflict is committed before it is raised."""
    refused: Conflict | None = None
    with database.write() as connection:
        try:
            yield connection
        except Conflict as error:
            refused = error
    if refused is not None:
        raise refused


def deliver(connection: Connection, event: Event, recorded_at: float | None = None) -> bool:
    """`post`, for a shipper: an event that is refused stands among the conflicts and holds up no other; False then."""
    try:
        return post(connection, event, recorded_at)
    except Unprocessable:
        _refuse(connection, event, time.time() if recorded_at is None else recorded_at)
        return False
    except Conflict:
        return False


def reverse(
    connection: Connection, tenant: str, event: str, reason: str, at: float, recorded_at: float | None = None
) -> str:
    """Post the mirror image of an event, linked to it; returns the reversal's id.

    Raises NotFound, and Conflict for an event that is reversed already, is a reversal itself, or whose asset has been
    written down since by more than would be left.
    """
    stored = records.stored_event(connection, event)
    if stored is None or stored["tenant"] != tenant:
        raise NotFound(f"There is no event {event!r} in the books: `gristmill books entries` lists them.", got=event)
    if stored["reverses"] is not None:
        raise Conflict(f"{event} is itself a reversal: post what is right as a new event.", event=event)
    _refuse_reversal(connection, stored)
    mirrored = [posting_of(row).counter(row["account"]) for row in records.postings_of(connection, event)]
    reversal = Event(derived_id(_REVERSAL, event), tenant, _REVERSAL, {"reverses": event, "reason": reason}, at)
    _refuse_overdrawn(Book(connection, tenant, [], at, at), mirrored, event)
    _record(connection, reversal, mirrored, time.time() if recorded_at is None else recorded_at, reverses=event)
    return reversal.id


def _refuse_reversal(connection: Connection, stored: Row) -> None:
    event = stored["id"]
    if records.reversal_of(connection, event) is not None:
        raise Conflict(f"{event} is reversed already.", event=event)
    if stored["kind"] in _CHOICES:
        raise Conflict(f"{event} is a choice and moved no money: choose anew instead of reversing it.", event=event)
    later = records.reratings_of(connection, stored["rerates"] or event)
    if later and later[-1] != event:
        raise Conflict(f"{event} was rated again: reverse {later[-1]} first.", event=event)


def _refuse(connection: Connection, event: Event, at: float) -> None:
    refused = {"event": event.id, "tenant": event.tenant, "payload": event.payload, "recorded_at": at}
    records.insert_conflict(connection, refused)


def _record(
    connection: Connection, event: Event, lines: list[Posting], recorded_at: float, reverses: str | None = None
) -> None:
    if not lines:
        # a stretch of no time and no use still is an event, and every event has a line
        lines = [Posting(account=accounts.requests(""), quantity=0.0, unit="nothing", item=event.kind)]
    check_balanced(event.id, lines)
    row: dict[str, Any] = {
        "id": event.id, "tenant": event.tenant, "kind": event.kind, "payload_hash": payload_hash(event),
        "payload": event.payload, "happened_at": event.happened_at, "recorded_at": recorded_at, "reverses": reverses,
        "rerates": event.payload["of"] if event.kind == KIND else None,
    }  # fmt: skip
    records.insert_event(connection, row)
    _in_mid_event()
    sign = 1 if reverses is None else -1
    records.insert_postings(connection, event.id, event.tenant, event.happened_at, lines, sign)


def _refuse_overdrawn(book: Book, mirrored: list[Posting], event: str) -> None:
    """What was built on the event must be reversed first."""
    for held in lacking(book, mirrored):
        raise Conflict(
            f"{event} cannot be reversed: less than it put into {held.account} is left there; reverse first what was "
            f"made of it or written down since.",
            event=event,
        )  # fmt: skip
