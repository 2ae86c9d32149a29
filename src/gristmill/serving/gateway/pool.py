"""One version behind one endpoint: what waits for it, who computes it, what it costs."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable
from time import monotonic

from gristmill.core.errors import DeadlineExceeded, GristmillError, Internal, Malformed, Unavailable
from gristmill.core.routes import RouteEndpoint, RouteVersion
from gristmill.serving.gateway.admission import Busy, FairQueue, admit
from gristmill.serving.gateway.batching import form
from gristmill.serving.gateway.cache import AnswerCache, fingerprint
from gristmill.serving.gateway.cost import CostModel
from gristmill.serving.gateway.exchange import Batch, join, split
from gristmill.serving.gateway.metering import Meter
from gristmill.serving.gateway.metrics import PoolMetrics
from gristmill.serving.gateway.replica_set import ReplicaSet
from gristmill.serving.gateway.replicas import Replica
from gristmill.serving.gateway.work import Answer, ExplainJob, Result, Work
from gristmill.serving.wire.messages import NOT_EXPLAINED, Answered, Computed, Generated

_BATCHES_IN_FLIGHT = 2  # the second waits in the socket, so that the worker never waits for the gateway
_EXPLANATIONS_IN_FLIGHT = 16  # the worker takes turns between them and the batches
_DEATHS_TO_QUARANTINE = 2

_NOT_COMPUTED = "The deadline passed before the answer was computed."


class Pool(ReplicaSet[Batch]):
    """The owner of its queue and replicas; lives on the event loop.

    A work whose worker died goes again alone: a second death tells which request kills, and it is quarantined.
    """

    def __init__(
        self, endpoint: RouteEndpoint, version: RouteVersion, meter: Meter, metrics: PoolMetrics, gateway: str
    ) -> None:
        super().__init__(endpoint, version, metrics, gateway)
        self.queue = FairQueue[Work]()
        self.cost = CostModel()
        self.cache: AnswerCache | None = None  # the endpoint's; None: every request is computed
        self.quarantined = 0
        self._suspects: deque[Work] = deque()
        self._meter = meter
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._busy = Busy()
        self._dispatching = False
        self._soonest = float("inf")  # no deadline here is earlier
        self._by_length = version.signature.task.startswith("text")
        self.update(endpoint, version)

    def close(self) -> list[Work]:
        """Retire every replica; gives the works that still wait, to go elsewhere."""
        self.retire_all()
        waiting = [*self._suspects, *self.queue]
        self._suspects.clear()
        self.queue = FairQueue[Work]()
        return [work for work in waiting if not work.ended]

    @property
    def in_flight(self) -> int:
        """Requests that wait or compute here."""
        computing = sum(len(batch.works) for batch in self._batches())
        return computing + len(self.queue) + len(self._suspects)

    def _batches(self) -> Iterable[Batch]:
        for replica in self._all():
            yield from replica.in_flight.values()

    def recall(self, work: Work) -> Answer | None:
        """The answer that was kept for the same input to this version. Needs `cache`."""
        assert self.cache is not None
        work.fingerprint = fingerprint(work.job)
        kept = self.cache.get((self.digest, work.fingerprint))
        if kept is None:
            self.metrics.cache_misses += 1
            return None
        self.metrics.cache_hits += 1
        work.rows = kept.rows
        return self._meter.settle_cached(self.endpoint, self.version, work, kept.result, monotonic())

    def _keep(self, works: list[Work], results: list[Result | None]) -> None:
        if self.cache is not None:
            for work, result in zip(works, results, strict=True):
                if result is not None and work.fingerprint is not None:
                    self.cache.put((self.digest, work.fingerprint), result, work.rows)

    def submit(self, work: Work) -> None:
        """Queue it, or refuse it at once: Unavailable or DeadlineExceeded."""
        if not self._replicas:
            raise Unavailable("The endpoint has no replica yet: try again shortly.", retry_after_s=1.0)
        try:
            admit(work, self.queue, self.endpoint.limits, self.cost, self._busy, len(self._replicas), monotonic())
        except GristmillError:
            self.metrics.shed += 1
            raise
        self.take(work)

    def take(self, work: Work) -> None:
        """Queue a work that was admitted before."""
        self.queue.push(work)
        self._soonest = min(self._soonest, work.deadline)
        self._dispatch_soon()

    def _dispatch_soon(self) -> None:
        # One turn of the event loop later: every request that was read in this turn shares the batch.
        if not self._dispatching:
            self._dispatching = True
            wait_s = self.endpoint.limits.batch_wait_ms / 1e3
            if wait_s:
                self._loop.call_later(wait_s, self._dispatch)
            else:
                self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = False
        while self.queue or self._suspects:
            replica = min(
                (replica for replica in self._replicas.values() if replica.ready),
                key=lambda replica: len(replica.in_flight),
                default=None,
            )
            if replica is None or not self._fill(replica):
                return

    def _fill(self, replica: Replica[Batch]) -> bool:
        """Send it one batch; False when the least loaded replica has no room."""
        in_flight = replica.in_flight
        if any(work.deaths for batch in in_flight.values() for work in batch.works):
            return False
        if self._suspects:
            if in_flight:
                return False
            suspect = self._suspects.popleft()
            if not suspect.ended:
                self._send(replica, [suspect], suspect.rows)
            return True
        batches = [batch for batch in in_flight.values() if not batch.explains]
        if len(batches) >= _BATCHES_IN_FLIGHT or len(in_flight) - len(batches) >= _EXPLANATIONS_IN_FLIGHT:
            return False
        if batches and not self._worth_a_second(batches):
            return False
        now = monotonic()
        formed = form(self.queue, self.endpoint.limits.max_batch_rows, self.cost, now, by_length=self._by_length)
        for work in formed.late:
            self._too_late(work)
        if formed.batch:
            self._send(replica, formed.batch, formed.rows)
        return bool(formed.batch or formed.late)

    def _worth_a_second(self, in_flight: list[Batch]) -> bool:
        # Half of what computes now: below that, a few more requests will have come by the time it is done.
        ahead = sum(batch.rows for batch in in_flight)
        return 2 * self.queue.rows >= min(ahead, self.endpoint.limits.max_batch_rows)

    def _send(self, replica: Replica[Batch], works: list[Work], rows: int) -> None:
        batch = Batch(next(self._numbers), works, rows, monotonic())
        self.metrics.batch(rows)
        self._busy.add(rows)
        message, buffers = join(batch, self.signature)
        replica.send(batch.number, batch, message, buffers)

    # What the replicas tell (replicas.Owner)

    def became_ready(self, replica: Replica[Batch], timings: tuple[tuple[int, float], ...]) -> None:
        if not self.cost.seen:
            self.cost.learn_all(timings)
        self._dispatch_soon()

    def answered(self, replica: Replica[Batch], batch: Batch, message: Computed | Answered, body: bytes) -> None:
        now = monotonic()
        if not batch.explains and not any(other.explains for other in replica.in_flight.values()):
            self.cost.learn(batch.rows, now - max(batch.sent_at, replica.last_answer_at))
        replica.last_answer_at = now
        self._busy.remove(batch.rows)
        results = split(batch, message, body)
        self._keep(batch.works, results)
        self._meter.settle(self.endpoint, self.version, replica.id, batch.works, results, message, now)
        if self.queue or self._suspects:
            self._dispatch()

    def generated(self, replica: Replica[Batch], message: Generated) -> None:
        raise Malformed("A worker streamed what was not asked of it.")

    def lost(self, replica: Replica[Batch], batches: list[Batch]) -> None:
        """Put what was in flight at the head, each to go alone: the first retry is always allowed."""
        for batch in batches:
            self._busy.remove(batch.rows)
        for work in (work for batch in batches for work in batch.works if not work.ended):
            work.deaths += 1
            if work.deaths < _DEATHS_TO_QUARANTINE:
                self.metrics.retries += 1
                self._suspects.append(work)
            else:
                self.quarantined += 1
                message = "This request was being computed when two workers died in a row; it is not tried again."
                work.fail(Internal(message), Internal.status)
        self._dispatch_soon()

    def expire(self, now: float) -> None:
        """Answer 504 to whatever is past its deadline, waiting or computing. Cheap while nothing is due."""
        if now < self._soonest:
            return
        for work in self.queue.remove(lambda work: work.deadline <= now or bool(work.ended)):
            self._too_late(work)
        live = [*self.queue, *self._suspects, *(work for batch in self._batches() for work in batch.works)]
        for work in live:
            if work.deadline <= now and not work.ended:
                self._too_late(work)
        self._soonest = min((work.deadline for work in live if not work.ended), default=float("inf"))

    def _too_late(self, work: Work) -> None:
        if not work.ended:
            self.metrics.expired += 1
            sentence = NOT_EXPLAINED if isinstance(work.job, ExplainJob) else _NOT_COMPUTED
            work.fail(DeadlineExceeded(sentence), DeadlineExceeded.status)

    def forget(self, work: Work) -> None:
        """The client left: its work is not computed if it still waits."""
        work.leave()
        self.queue.remove(lambda other: other is work)
