"""Usage records into the books: each row once, the cursor in the same transaction, one event for what is alike."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from gristmill.books import accounts, leases, rate_cards, records, usage_records
from gristmill.books.events import Event
from gristmill.books.posting import post
from gristmill.books.records import Connection, Row
from gristmill.core.faults import fault_point
from gristmill.core.ids import derived_id
from gristmill.core.types import UsageRecord

_before_rows = fault_point("books.before-usage-rows")
_before_cursor = fault_point("books.before-usage-cursor")
KIND = "usage.posted"
_DAY_S = 86_400
_SUMMED = ("items", "compute_us", "latency_us", "bytes_in", "bytes_out")
# of each record: an attrgetter takes half the time of a line for each of its names
_ALIKE = attrgetter("tenant", "endpoint", "model", "key", "operation", "cached", "leases")
_BEFORE_TOKENS = attrgetter("id", "tenant", "key", "endpoint", "model", "digest", "operation", "status", "happened_at",
                            *_SUMMED)  # fmt: skip
_AFTER_EVENT = attrgetter("first_token_us", "per_token_us", "energy_uj", "cached")


class Alike(NamedTuple):
    """What the records of one event have in common. `day` and `period`: one day, and one price, throughout."""

    tenant: str
    endpoint: str
    model: str
    key: str
    operation: str
    status: str
    day: int
    period: int
    cached: bool
    leases: tuple[str, ...]


def cursor(connection: Connection, source: str) -> int:
    """How far `source` (a journal) is posted; 0 when nothing is."""
    return usage_records.cursor(connection, _cursor(source))


def post_usage(
    connection: Connection, source: str, batch: Sequence[UsageRecord], position: int, recorded_at: float | None = None
) -> int:
    """Post the records of `source` up to `position`; returns how many were new.

    A record whose id is there already is not counted again; one with the same id that says something else is refused
    and recorded among the conflicts.
    """
    now = time.time() if recorded_at is None else recorded_at
    fresh = _fresh(connection, batch, now)
    start = cursor(connection, source)
    rows: list[tuple[Any, ...]] = []
    events: list[tuple[Event, Alike]] = []
    for alike, group in _grouped(connection, fresh).items():
        event = _event(alike, group, derived_id(KIND, source, start, position, *map(str, alike)))
        events.append((event, alike))
        rows.extend(_row(record, event.id) for record in group)
    for event, alike in events:
        post(connection, event, now)
        if alike.leases:
            leases.post_use(connection, _used(connection, event, alike))
    _before_rows()
    if rows:
        usage_records.insert_usage(connection, rows)
    _before_cursor()
    usage_records.move_cursor(connection, _cursor(source), position)
    return len(rows)


def _fresh(connection: Connection, batch: Sequence[UsageRecord], now: float) -> list[UsageRecord]:
    by_id: dict[str, UsageRecord] = {}
    again: list[tuple[UsageRecord, UsageRecord]] = []
    for record in batch:
        first = by_id.setdefault(record.id, record)
        if first is not record:
            again.append((record, first))
    stored = usage_records.stored_usage(connection, list(by_id))
    for record, first in again:
        if record != first:
            _refuse(connection, record, now)
    for row in stored:
        record = by_id.pop(row["id"])
        if not _says(row, record):
            _refuse(connection, record, now)
    return list(by_id.values())


def _says(row: Row, record: UsageRecord) -> bool:
    names = [name for name in record.__struct_fields__ if name in row]
    return all(row[name] == getattr(record, name) for name in names)


def _refuse(connection: Connection, record: UsageRecord, now: float) -> None:
    said = {name: getattr(record, name) for name in record.__struct_fields__}
    conflict = {"event": record.id, "tenant": record.tenant, "payload": said, "recorded_at": now}
    records.insert_conflict(connection, conflict)


def _grouped(connection: Connection, fresh: Sequence[UsageRecord]) -> dict[Alike, list[UsageRecord]]:
    moments = {
        tenant: rate_cards.boundaries(connection, tenant, rate_cards.PRICE)
        for tenant in sorted({record.tenant for record in fresh})
    }
    groups: dict[tuple[Any, ...], list[UsageRecord]] = defaultdict(list)
    for record in fresh:
        at = record.happened_at
        period = bisect_right(moments[record.tenant], at)
        groups[(*_ALIKE(record), record.status // 100, int(at // _DAY_S), period)].append(record)
    return {_alike(group[0], *alike[-2:]): group for alike, group in groups.items()}


def _alike(record: UsageRecord, day: int, period: int) -> Alike:
    return Alike(record.tenant, record.endpoint, record.model, record.key, record.operation,
                 f"{record.status // 100}xx", day, period, record.cached, record.leases)  # fmt: skip


def _event(alike: Alike, group: Sequence[UsageRecord], id_: str) -> Event:
    tokens: dict[str, int] = defaultdict(int)
    for record in group:
        for kind, number in record.tokens.items():
            tokens[kind] += number
    times = [record.happened_at for record in group]
    first, last = min(times), max(times)
    payload: dict[str, Any] = {
        "endpoint": alike.endpoint, "model": alike.model, "key": alike.key, "operation": alike.operation,
        "status": alike.status, "requests": len(group), "first_at": first, "last_at": last, "tokens": dict(tokens),
    }  # fmt: skip
    if alike.cached:
        payload["cached"] = True
    payload |= {name: sum(map(attrgetter(name), group)) for name in _SUMMED}
    return Event(id_, alike.tenant, KIND, payload, last)


def _used(connection: Connection, event: Event, alike: Alike) -> dict[tuple[str, str], int]:
    """Micro-units that its key owes for the event, by (lease, currency)."""
    owed: dict[str, int] = defaultdict(int)
    for row in records.postings_of(connection, event.id):
        if row["account"] == accounts.receivable(alike.key):
            owed[row["currency"]] += row["micro"]
    return {(lease, currency): micro for currency, micro in owed.items() for lease in alike.leases}


def _row(record: UsageRecord, event: str) -> tuple[Any, ...]:
    tokens = msgspec.json.encode(record.tokens).decode() if record.tokens else "{}"
    return (*_BEFORE_TOKENS(record), tokens, event, *_AFTER_EVENT(record))


def _cursor(source: str) -> str:
    return f"usage:{source}"
