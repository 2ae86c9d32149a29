"""The shipper: outbox and usage journals into the books, each event and each record exactly once.

A journal's position moves in the transaction that posts its records: a crash in between changes neither.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from gristmill.books.events import Event
from gristmill.books.posting import deliver
from gristmill.books.usage import cursor, post_usage
from gristmill.control.gateways import Gateways
from gristmill.control.leases import Leases
from gristmill.control.platform import Platform
from gristmill.core.faults import fault_point
from gristmill.store import journal, outbox

logger = logging.getLogger(__name__)
_EVENTS, _RECORDS = 200, 5_000  # of one transaction
_NICENESS = 10  # answers come before the books where every core is busy: what is shipped later is as exact
_before_events = fault_point("shipper.before-events")
_before_usage = fault_point("shipper.before-usage")
_before_prune = fault_point("shipper.before-prune")


class Shipper:
    def __init__(self, platform: Platform, gateways: Gateways, leases: Leases) -> None:
        self._platform, self._gateways, self._leases = platform, gateways, leases
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._shipped = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ship what is left and end."""
        self._stopped.set()
        self._thread.join()
        self._safely()

    def ship(self) -> None:
        """All that waits now."""
        self.ship_events()
        for source, folder in self._gateways.journals():
            abandoned = self._leases.abandoned(source, self._gateways.alive(source))
            self._ship_journal(source, folder)
            self._leases.settle(abandoned)

    def ship_events(self) -> None:
        while self._post_some():
            pass

    def _run(self) -> None:
        if sys.platform == "linux":  # there a thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while not self._stopped.wait(self._platform.settings.ship_interval_s):
            self._safely()

    def _safely(self) -> None:
        try:
            self.ship()
        except Exception:  # the books wait for whatever it was; nothing is lost: events and records stay where they are
            logger.exception("shipping failed; it is tried again")

    def _post_some(self) -> bool:
        with self._platform.database.read() as connection:
            if not outbox.pending(connection, 1):
                return False
        with self._platform.database.write() as connection:
            items = outbox.pending(connection, _EVENTS)
            _before_events()
            for item in items:
                event = Event(item.event, item.tenant, item.kind, item.payload, item.happened_at)
                if not deliver(connection, event):
                    logger.warning("event %s was posted before, or is refused: see `gristmill books check`", event.id)
            outbox.done(connection, [item.number for item in items])
        return len(items) == _EVENTS

    def _ship_journal(self, source: str, folder: Path) -> None:
        while True:
            with self._platform.database.read() as connection:
                position = cursor(connection, source)
            records, following = journal.read_records(folder, position, _RECORDS)
            if following == position:
                break
            with self._platform.database.write() as connection:
                _before_usage()
                post_usage(connection, source, records, following)
            self._shipped += len(records)
        self._platform.observed.journal = {"pending_events": 0, "shipped_records": self._shipped}
        _before_prune()
        journal.prune(folder, position)
