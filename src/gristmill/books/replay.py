"""Post a whole history again, into empty books: the same events give the same books."""

from __future__ import annotations

from gristmill.books import records
from gristmill.books.events import Event
from gristmill.books.posting import post, reverse
from gristmill.books.records import Connection


def replay(source: Connection, target: Connection) -> int:
    """Rates first, then every event in the order of its recording, as it was known then; returns how many events.

    Usage records are not copied: their events hold what the books need of them.
    """
    for tenant in records.tenants_with_entries(source):
        records.insert_rates(target, tenant, records.rates_of(source, tenant))
    order = records.recorded_order(source)
    for id_ in order:
        row = records.stored_event(source, id_)
        assert row is not None
        if row["reverses"] is not None:
            reverse(target, row["tenant"], row["reverses"], row["payload"]["reason"], row["happened_at"],
                    row["recorded_at"])  # fmt: skip
        else:
            event = Event(id_, row["tenant"], row["kind"], row["payload"], row["happened_at"])
            post(target, event, row["recorded_at"])
    return len(order)
