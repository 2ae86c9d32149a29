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
from gristmill.control.pace import Pace
from gristmill.control.platform import Platform
from gristmill.core.faults import fault_point
from gristmill.store import journal, outbox

logger = logging.getLogger(__name__)
_EVENTS, _RECORDS = 200, 5_000  # of one transaction
_NICENESS = 10  # answers come before the books where every core is busy: what is shipped later is as exact
_CORES_A_GATEWAY = 0.15  # while every core is busy: as much as the records of one gateway take that is busy
_MOST_WAITING_BYTES = 256 * 2**20  # of a journal; what is more is shipped as fast as it can be
_before_events = fault_point("shipper.before-events")
_before_usage = fault_point("shipper.before-usage")
_before_prune = fault_point("shipper.before-prune")


class Shipper:
    def __init__(self, platform: Platform, gateways: Gateways, leases: Leases) -> None:
        self._platform, self._gateways, self._leases = platform, gateways, leases
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._shipped = 0
        self._seen: object = None  # of database and journals, as it was before what was shipped last

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ship what is left and end."""
        self._stopped.set()
        self._thread.join()
        self._safely()

    def ship(self) -> None:
        """All that waits now; of each journal a part in turn, so that a long one holds up no other."""
        pace = Pace(_CORES_A_GATEWAY * self._platform.settings.gateways)
        behind = self._gateways.journals()
        self.ship_events()
        while behind := [one for one in behind if self._ship_some(*one)]:
            if self._may_wait(behind):
                self._stopped.wait(pace.rest_s())
            self.ship_events()

    def ship_events(self) -> None:
        while self._post_some():
            pass

    def _run(self) -> None:
        if sys.platform == "linux":  # there a thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while not self._stopped.wait(self._platform.settings.ship_interval_s):
            if self._moved():
                self._safely()

    def _safely(self) -> None:
        try:
            self.ship()
        except Exception:  # the books wait for whatever it was; nothing is lost: events and records stay where they are
            logger.exception("shipping failed; it is tried again")
            self._seen = None

    def _moved(self) -> bool:
        """Whether a transaction was committed, a journal grew or a gateway came or went since this was asked before."""
        journals = [
            (source, journal.stored_bytes(folder), self._gateways.alive(source))
            for source, folder in self._gateways.journals()
        ]
        before, self._seen = self._seen, (self._platform.database.commits, journals)
        return self._seen != before

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

    def _ship_some(self, source: str, folder: Path) -> bool:
        """Whether a whole part was there, and more may be. What comes meanwhile is left for the next time: a
        transaction of a few records costs nearly as much as one of many."""
        abandoned = self._leases.abandoned(source, self._gateways.alive(source))
        with self._platform.database.read() as connection:
            position = cursor(connection, source)
        records, following = journal.read_records(folder, position, _RECORDS)
        if following != position:
            with self._platform.database.write() as connection:
                _before_usage()
                post_usage(connection, source, records, following)
        self._shipped += len(records)
        self._platform.observed.journal = {"pending_events": 0, "shipped_records": self._shipped}
        _before_prune()
        journal.prune(folder, following)
        if len(records) == _RECORDS:
            return True
        self._leases.settle(abandoned)  # its journal is posted to the end
        return False

    def _may_wait(self, behind: list[tuple[str, Path]]) -> bool:
        """A journal may grow while serving wants every core, and not for ever."""
        return all(journal.stored_bytes(folder) < _MOST_WAITING_BYTES for _, folder in behind)
