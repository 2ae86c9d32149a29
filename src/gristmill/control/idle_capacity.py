"""What the platform has and grants to nobody, looked at every second and told to the books every ten minutes.

What was not told when the controller died is not known, and not told later.
"""

from __future__ import annotations

from gristmill.books.events import capacity_idle
from gristmill.control import bookkeeping, records
from gristmill.control.access import FIRST_TENANT
from gristmill.control.platform import Platform
from gristmill.control.resources import capacity, together
from gristmill.core.types import Resources, RunState

PERIOD_S = 600.0
_LOOK_S = 1.0
_FARTHEST_LOOK_S = 30.0  # a machine that slept had nothing to grant
_GIB = 2**30


class IdleCapacity:
    """Sums free resources over time; the books of the first tenant, who runs the platform, hold them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._looked: float | None = None
        self._since = 0.0
        self._sums = [0.0, 0.0, 0.0]

    def step(self) -> None:
        """Look, when it is time; tell, when it is time."""
        now = self._platform.clock.now()
        if self._looked is None:
            self._looked = self._since = now
        if now - self._looked < _LOOK_S:
            return
        passed = min(now - self._looked, _FARTHEST_LOOK_S)
        self._sums = [total + free * passed for total, free in zip(self._sums, self._free(), strict=True)]
        self._looked = now
        if now - self._since >= PERIOD_S:
            self._tell(now)

    def _free(self) -> tuple[float, float, float]:
        with self._platform.database.read() as connection:
            runs = [run.granted for run in records.open_runs(connection) if run.state != RunState.queued]
            replicas = [replica.granted for replica in records.live_replicas(connection)]
        return free(capacity(self._platform.settings), together([*runs, *replicas]))

    def _tell(self, now: float) -> None:
        event = capacity_idle(FIRST_TENANT, self._since, now, *self._sums)
        with self._platform.database.write() as connection:
            bookkeeping.tell(connection, event)
        self._since, self._sums = now, [0.0, 0.0, 0.0]


def free(total: Resources, granted: Resources) -> tuple[float, float, float]:
    """Cores, GiB and GPUs; replicas and runs may share cores, so that more may be granted than there are."""
    return (
        max(0.0, total.cores - granted.cores),
        max(0, total.memory_bytes - granted.memory_bytes) / _GIB,
        float(max(0, total.gpus - granted.gpus)),
    )
