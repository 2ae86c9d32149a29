"""Who waits, in which order, and who is refused at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from math import ceil
from typing import Generic, Protocol, TypeVar

from gristmill.core.errors import DeadlineExceeded, Unavailable
from gristmill.core.routes import EndpointLimits, RouteKey
from gristmill.serving.gateway.cost import CostModel
from gristmill.serving.gateway.work import Work


class Waiting(Protocol):
    """What a queue must know of what waits in it."""

    @property
    def key(self) -> RouteKey: ...

    @property
    def rows(self) -> int: ...


W = TypeVar("W", bound=Waiting)


class FairQueue(Generic[W]):
    """Weighted fair share across keys by stride scheduling over rows (Waldspurger and Weihl, OSDI 1994).

    A key with weight 2 gets twice the rows of a key with weight 1 while both wait; one that waits alone gets all.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, deque[W]] = {}
        self._passes: dict[str, float] = {}
        self._order: list[tuple[float, int, str]] = []  # heap of the lanes that hold work: (pass, tie, key)
        self._ties = 0
        self._now = 0.0  # the pass of the lane served last: a newcomer starts here, not at its own old debt or credit
        self.rows = 0
        self.length = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[W]:
        for lane in self._lanes.values():
            yield from lane

    def push(self, work: W) -> None:
        lane = self._lanes.get(work.key.id)
        if lane is None:
            lane = self._lanes[work.key.id] = deque()
        if not lane:
            self._enter(work.key.id)
        lane.append(work)
        self.length += 1
        self.rows += work.rows

    def _enter(self, key: str) -> None:
        start = self._passes[key] = max(self._passes.get(key, 0.0), self._now)
        self._ties += 1
        heappush(self._order, (start, self._ties, key))

    def peek(self) -> W | None:
        return self._lanes[self._order[0][2]][0] if self._order else None

    def pop(self) -> W:
        """The next work; raises IndexError when none waits."""
        start, _, key = heappop(self._order)
        lane = self._lanes[key]
        work = lane.popleft()
        self._now = start
        self._passes[key] = start + work.rows / max(work.key.weight, 1)
        if lane:
            self._enter(key)
        else:
            del self._lanes[key]
            self._forget_old_passes()
        self.length -= 1
        self.rows -= work.rows
        return work

    def _forget_old_passes(self) -> None:
        if len(self._passes) > 2 * len(self._lanes) + 64:
            self._passes = {key: at for key, at in self._passes.items() if key in self._lanes or at > self._now}

    def remove(self, gone: Callable[[W], bool]) -> list[W]:
        """Take out every work for which `gone` is true."""
        removed = [work for work in self if gone(work)]
        if removed:
            for key in list(self._lanes):
                lane = self._lanes[key] = deque(work for work in self._lanes[key] if not gone(work))
                if not lane:
                    del self._lanes[key]
            self._order = [entry for entry in self._order if entry[2] in self._lanes]
            heapify(self._order)
            self.length -= len(removed)
            self.rows -= sum(work.rows for work in removed)
        return removed


class Busy:
    """How much is in flight on the replicas of one pool."""

    __slots__ = ("batches", "rows")

    def __init__(self) -> None:
        self.batches = 0
        self.rows = 0

    def add(self, rows: int) -> None:
        self.batches += 1
        self.rows += rows

    def remove(self, rows: int) -> None:
        self.batches -= 1
        self.rows -= rows


def admit(
    work: Work, queue: FairQueue[Work], limits: EndpointLimits, cost: CostModel, busy: Busy, lanes: int, now: float
) -> None:
    """Refuse what cannot be served in time; `lanes` are the replicas.

    Raises Unavailable with when to come back (full, or the backlog outlasts the deadline), DeadlineExceeded when even
    an idle replica would be too late.
    """
    if len(queue) >= limits.max_queue:
        raise Unavailable(
            f"The endpoint's queue is full with {limits.max_queue} requests: try again later.",
            retry_after_s=_backlog_s(queue, limits, cost, busy, lanes),
        )
    room = work.deadline - now
    alone = cost.seconds(work.rows)
    backlog = _backlog_s(queue, limits, cost, busy, lanes)
    if backlog == 0.0 and alone <= room:
        return
    if alone > room and (backlog > 0.0 or cost.seen > 0):
        raise DeadlineExceeded(
            f"The deadline leaves {max(room, 0) * 1e3:.0f} ms; this request takes about {alone * 1e3:.0f} ms."
        )
    if backlog + alone > room:
        raise Unavailable(
            f"The work that waits takes about {backlog * 1e3:.0f} ms; the deadline leaves {max(room, 0) * 1e3:.0f} ms.",
            retry_after_s=backlog,
        )


def _backlog_s(queue: FairQueue[Work], limits: EndpointLimits, cost: CostModel, busy: Busy, lanes: int) -> float:
    batches = busy.batches + ceil(queue.rows / limits.max_batch_rows)
    return (batches * cost.a + (busy.rows + queue.rows) * cost.b) / max(lanes, 1)
