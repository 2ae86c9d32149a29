"""Prove that the books balance: each promise of theirs looked at afresh in what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gristmill.books import accounts, records, usage_records
from gristmill.books.records import Connection
from gristmill.books.usage import KIND

_MOST_NAMED = 20  # problems of one sort that are named one by one


class CheckResult(msgspec.Struct, frozen=True):
    """`problems`: a sentence each, empty when the books hold. `conflicts`: refused events, which harm no balance."""

    problems: list[str]
    events: int
    postings: int
    usage_records: int
    conflicts: int

    def to_dict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


def check(connection: Connection) -> CheckResult:
    """Of all tenants: zero sums, no orphan, usage posted once and whole, assets accounted for, balances true."""
    problems = [*_unbalanced(connection), *_orphans(connection), *_usage(connection), *_assets(connection),
                *_balances(connection)]  # fmt: skip
    counts = {name: records.count(connection, name) for name in ("events", "postings", "usage", "conflicts")}
    return CheckResult(problems, counts["events"], counts["postings"], counts["usage"], counts["conflicts"])


def _unbalanced(connection: Connection) -> Iterator[str]:
    for row in records.unbalanced_events(connection)[:_MOST_NAMED]:
        yield f"Event {row['event']} sums to {row['micro']} micro-units of {row['currency']}, not to 0."


def _orphans(connection: Connection) -> Iterator[str]:
    for number in records.orphan_postings(connection)[:_MOST_NAMED]:
        yield f"Posting {number} belongs to no event."
    for event in records.events_without_postings(connection)[:_MOST_NAMED]:
        yield f"Event {event} has no posting."


def _usage(connection: Connection) -> Iterator[str]:
    unposted = usage_records.unposted_usage(connection)
    if unposted:
        yield f"{unposted} usage records are posted by no event."
    rows = usage_records.usage_by_event(connection)
    for event in records.events_of_kind(connection, KIND):
        found = rows.pop(event["id"], None)
        for name in ("requests", "items", "compute_us"):
            stored = int(found[name]) if found is not None else 0
            if stored != event["payload"][name]:
                yield f"Event {event['id']} posts {event['payload'][name]} {name}; its usage records have {stored}."
    for event_id in rows:
        if event_id is not None:
            yield f"Usage records name the event {event_id}, which posts no usage."


def _assets(connection: Connection) -> Iterator[str]:
    """Amortised + unamortised + written off = capitalised, and none of them below zero."""
    for tenant in records.tenants_with_entries(connection):
        values: dict[tuple[str, str], dict[str, int]] = {}
        for kind in ("assets", "amortised", "written-off"):
            prefix = f"{kind}:version:"
            for row in records.sums(connection, tenant, ("account", "currency"), accounts=(prefix,)):
                of = values.setdefault((row["account"].removeprefix(prefix), row["currency"]), {})
                of[kind] = row["micro"]
        for (version, currency), of in values.items():
            capitalised, amortised = of.get("assets", 0), -of.get("amortised", 0)
            written_off = -of.get("written-off", 0)
            if min(capitalised, amortised, written_off, capitalised - amortised - written_off) < 0:
                yield (
                    f"{accounts.version_asset(version)} of {tenant} does not hold: capitalised {capitalised}, "
                    f"amortised {amortised}, written off {written_off} micro-units of {currency}."
                )


def _balances(connection: Connection) -> Iterator[str]:
    for row in records.wrong_balances(connection)[:_MOST_NAMED]:
        yield f"The kept balance of {row['account']} is not the sum of its postings."
