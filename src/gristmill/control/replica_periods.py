"""What replicas have used, told to the books a period at a time: each stretch of a replica's life once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gristmill.books.events import Event, replica_used
from gristmill.control import bookkeeping, records
from gristmill.control.platform import Platform
from gristmill.control.state import Replica
from gristmill.core.supervision import Pong


class Booked(msgspec.Struct, frozen=True):
    """How far the books are: `index` of the next period, its start, and the process's counters at that moment."""

    index: int = 0
    at: float = 0.0
    rows: int = 0
    busy_s: float = 0.0
    cpu_s: float = 0.0
    joules: float = 0.0


class Periods:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def step(self, live: Sequence[Replica], answers: Mapping[str, Pong | None]) -> None:
        """Close the periods that are full."""
        for replica in live:
            if self._full(replica, msgspec.convert(replica.booked, Booked)):
                self.close(replica, answers.get(replica.id), keep_counters=True)

    def close(self, replica: Replica, answer: Pong | None, *, keep_counters: bool = False) -> None:
        """Tell the books what was used since the last period. `keep_counters`: the process lives on.

        The first one begins with the grant: a replica that loads holds it already. How far the books are is read anew:
        since `replica` was, the same look may have closed a period as it restarted or ended it.
        """
        if answer is None:
            return
        with self._platform.database.write() as connection:
            booked = msgspec.convert(records.booked_of(connection, replica.id), Booked)
            if keep_counters and not self._full(replica, booked):
                return
            now = self._platform.clock.now()
            bookkeeping.tell(
                connection, _event(replica, booked.index, booked.at or replica.created_at, now, _since(answer, booked))
            )
            counters = _counters(answer, booked) if keep_counters else (0, 0.0, 0.0, 0.0)
            following = Booked(booked.index + 1, now, *counters)
            records.update_replica(connection, replica.id, booked=msgspec.to_builtins(following))

    def _full(self, replica: Replica, booked: Booked) -> bool:
        now = self._platform.clock.now()
        return now - (booked.at or replica.ready_at or now) >= self._platform.settings.booking_period_s


def _event(replica: Replica, index: int, start: float, end: float, used: Pong) -> Event:
    return replica_used(
        replica.tenant, replica.id, index, replica.endpoint, replica.model, start, end,
        replica.granted, used.use.cpu_s, used.busy_total_s, used.rows, used.use.energy,
    )  # fmt: skip


def _counters(answer: Pong, booked: Booked) -> tuple[int, float, float, float]:
    """A counter that is silent for once stands where it stood: what it tells afterwards is not counted twice."""
    joules = booked.joules if answer.use.energy.value is None else answer.use.energy.value
    return answer.rows, answer.busy_total_s, answer.use.cpu_s, joules


def _since(answer: Pong, booked: Booked) -> Pong:
    """`answer` less what is booked; a process that was started anew counts from zero again."""
    if answer.use.cpu_s < booked.cpu_s or answer.rows < booked.rows:
        return answer
    energy = answer.use.energy
    if energy.value is not None:
        energy = msgspec.structs.replace(energy, value=energy.value - booked.joules)
    use = msgspec.structs.replace(answer.use, cpu_s=answer.use.cpu_s - booked.cpu_s, energy=energy)
    return msgspec.structs.replace(
        answer, rows=answer.rows - booked.rows, busy_total_s=answer.busy_total_s - booked.busy_s, use=use
    )
