"""Once a day, for the day that ended: what the blobs of each tenant took, and the write-downs that time made due.

The last day told stands in a cursor that moves in the same transaction: a day is told once, and a day in which nobody
was up is told afterwards, with what is stored now (assumed).
"""

from __future__ import annotations

import logging

from gristmill.books import capitalisation, events, records, usage_records
from gristmill.control import bookkeeping
from gristmill.control.platform import Platform
from gristmill.control.storage import kept, owned
from gristmill.core.types import Basis

logger = logging.getLogger(__name__)
DAY_S = 86_400
_CURSOR = "daily"
_FARTHEST_DAYS = 31  # days without a controller that are told afterwards; what lasted longer was not kept up


class Daily:
    """The day that was looked at last is remembered, so that a step within it costs nothing."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._day: int | None = None

    def step(self) -> None:
        """Tell the days that ended since the last one told; none on the first day of an installation."""
        today = int(self._platform.clock.now() // DAY_S)
        if self._day == today:
            return
        with self._platform.database.write() as connection:
            told = usage_records.cursor(connection, _CURSOR)
            if told:
                for day in range(max(told, today - _FARTHEST_DAYS), today):
                    self._tell(connection, day, Basis.measured if day == today - 1 else Basis.assumed)
            if today > told:
                usage_records.move_cursor(connection, _CURSOR, today)
        self._day = today

    def _tell(self, connection: records.Connection, day: int, basis: Basis) -> None:
        start, end = float(day * DAY_S), float((day + 1) * DAY_S)
        for tenant, owners in kept(owned(connection, self._platform.blobs), start, end).items():
            bookkeeping.tell(connection, events.storage_used(tenant, start, end, owners, basis))
        for tenant in records.tenants_with_entries(connection):
            for event in capitalisation.due(connection, tenant, end):
                bookkeeping.tell(connection, event)
        logger.info("day %d is told to the books", day)
