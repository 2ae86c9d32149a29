"""One version of a language model behind one endpoint: who waits, who generates, what it used."""

from __future__ import annotations

import asyncio
import itertools

from gristmill.core.errors import DeadlineExceeded, GristmillError, Internal, NotFound, Unavailable, Unprocessable
from gristmill.core.generation import GenerationRequest, TokenUsage
from gristmill.core.routes import RouteEndpoint, RouteReplica, RouteVersion
from gristmill.serving.gateway.admission import FairQueue
from gristmill.serving.gateway.cache import AnswerCache
from gristmill.serving.gateway.generation.affinity import Seen, blocks
from gristmill.serving.gateway.generation.stream import Stream
from gristmill.serving.gateway.metering import Meter
from gristmill.serving.gateway.metrics import PoolMetrics
from gristmill.serving.gateway.replica_set import ReplicaSet
from gristmill.serving.gateway.replicas import Replica
from gristmill.serving.gateway.work import Work
from gristmill.serving.wire.messages import Answered, Cancel, Computed, Ended, Generate, Generated, Tokenize

_STREAMS = 32  # at a time on one replica; more would wait there for a row, and here they are shared fairly
_BUSIER = 4  # streams that a replica may have more than another and still be chosen for what it has seen
_DEATHS_TO_GIVE_UP = 2

Item = Stream | asyncio.Future[bytes]  # a future: texts that are only tokenised


class GenerationPool(ReplicaSet[Item]):
    """The owner of its queue and replicas; lives on the event loop. No batch is formed here: the engine does that."""

    cache: AnswerCache | None = None  # a language model's answers are not kept
    quarantined = 0

    def __init__(
        self, endpoint: RouteEndpoint, version: RouteVersion, meter: Meter, metrics: PoolMetrics, gateway: str
    ) -> None:
        super().__init__(endpoint, version, metrics, gateway)
        self.queue = FairQueue[Stream]()
        self._meter = meter
        self._numbers = itertools.count(1)
        self._seen: dict[RouteReplica, Seen] = {}
        self.update(endpoint, version)

    def close(self) -> list[Work]:
        """Retire every replica; what waits cannot go to another version: its prompt was made for this one."""
        self.retire_all()
        gone = Unavailable("The endpoint moved to another version: send again.", retry_after_s=0.1)
        for stream in self.queue.remove(lambda stream: True):
            stream.fail(gone)
        return []

    @property
    def in_flight(self) -> int:
        return len(self.queue) + sum(len(replica.in_flight) for replica in self._all())

    # A request's way

    def submit(self, stream: Stream) -> None:
        """Queue it, or refuse it at once. Raises Unavailable; NotFound where its adapter went meanwhile."""
        if stream.asked.adapter is not None:
            stream.adapter = self.adapter(stream.asked.adapter)
            if stream.adapter is None:
                raise NotFound(f"There is no model '{self.endpoint.name}:{stream.asked.adapter}' here.")
        if not self._replicas:
            raise Unavailable("The endpoint has no replica yet: try again shortly.", retry_after_s=1.0)
        if len(self.queue) >= self.endpoint.limits.max_queue:
            self.metrics.shed += 1
            raise Unavailable(
                f"The endpoint's queue is full with {self.endpoint.limits.max_queue} requests: try again later.",
                retry_after_s=1.0,
            )
        stream.forget = self.forget
        self.queue.push(stream)
        self._dispatch()

    def take(self, work: Work) -> None:
        raise Unprocessable(f"{self.endpoint.name!r} is a language model now.", field="model")

    def _dispatch(self) -> None:
        while (stream := self.queue.peek()) is not None:
            chain = blocks(stream.asked)
            route = self._route(chain)
            if route is None:
                return
            self.queue.pop()
            if stream.ended:
                continue
            number = next(self._numbers)
            self._seen.setdefault(route, Seen()).add(chain)
            stream.computing = True
            self._replicas[route].send(number, stream, Generate(number, stream.asked))

    def _route(self, chain: tuple[int, ...]) -> RouteReplica | None:
        """The replica that knows most of the beginning, unless it is much busier than the least busy one."""
        open_ = {
            route: len(replica.in_flight)
            for route, replica in self._replicas.items()
            if replica.ready and len(replica.in_flight) < _STREAMS
        }
        if not open_:
            return None
        least = min(open_.values())
        near = [route for route, load in open_.items() if load <= least + _BUSIER]
        return max(near, key=lambda route: (self._known(route, chain), -open_[route]))

    def _known(self, route: RouteReplica, chain: tuple[int, ...]) -> int:
        seen = self._seen.get(route)
        return seen.leading(chain) if seen is not None else 0

    async def tokenize(self, asked: GenerationRequest) -> bytes:
        """The worker's JSON: {"tokens", "count"}. Raises its error."""
        replica = min(
            (one for one in self._replicas.values() if one.ready), key=lambda one: len(one.in_flight), default=None
        )
        if replica is None:
            raise Unavailable("The endpoint has no replica yet: try again shortly.", retry_after_s=1.0)
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        replica.send(number, answer, Tokenize(number, asked))
        return await answer

    # What the replicas tell (replicas.Owner)

    def became_ready(self, replica: Replica[Item], timings: tuple[tuple[int, float], ...]) -> None:
        self._dispatch()

    def answered(self, replica: Replica[Item], item: Item, message: Computed | Answered, body: bytes) -> None:
        assert isinstance(item, asyncio.Future)
        if not item.done() and message.faults:
            item.set_exception(message.faults[0].error())
        elif not item.done():
            item.set_result(body)

    def generated(self, replica: Replica[Item], message: Generated) -> None:
        in_flight = replica.in_flight
        for begun in message.begun:
            if isinstance(stream := in_flight.get(begun.request), Stream):
                stream.begin(begun.prompt)
        for delta in message.deltas:
            if isinstance(stream := in_flight.get(delta.request), Stream) and not stream.ended:
                stream.push(delta)
        for ended in message.ended:
            if isinstance(stream := in_flight.pop(ended.request, None), Stream):
                self._end(replica.id, stream, ended)
        if message.ended:
            self._dispatch()

    def _end(self, replica: str, stream: Stream, ended: Ended) -> None:
        usage = ended.usage
        if stream.ended:  # the client left, or the deadline passed: it pays for what it took
            usage = TokenUsage(usage.prompt, usage.cached, min(usage.completion, stream.sent), usage.reasoning)
        error = ended.fault.error() if ended.fault is not None else None
        self.metrics.text(stream.first_token_s, stream.per_token_s(ended.usage.completion))
        try:
            self._meter.settle_stream(self.endpoint, self.version, replica, stream, ended, usage, error)
        except GristmillError as unmetered:
            error = unmetered
        if error is not None:
            stream.fail(error)
        else:
            stream.finish(usage)

    def lost(self, replica: Replica[Item], items: list[Item]) -> None:
        """What no client has a part of begins again elsewhere; the others are told, and pay for what they have."""
        gone = Unavailable("The replica died while it answered: send again.", retry_after_s=0.1)
        for item in items:
            if isinstance(item, asyncio.Future):
                if not item.done():
                    item.set_exception(gone)
                continue
            item.deaths += 1
            if item.ended or item.touched or item.deaths >= _DEATHS_TO_GIVE_UP:
                self._break_off(replica.id, item, gone)
            else:
                self.metrics.retries += 1
                item.begin_again()
                self.queue.push(item)
        self._dispatch()

    def _break_off(self, replica: str, stream: Stream, gone: GristmillError) -> None:
        error = gone if stream.touched else Internal("Two replicas died in a row while they answered this request.")
        used = TokenUsage(stream.prompt_tokens, 0, stream.sent)
        try:
            self._meter.settle_stream(self.endpoint, self.version, replica, stream, None, used, error)
        except GristmillError as unmetered:
            error = unmetered
        stream.fail(error)

    # Leaving early

    def forget(self, stream: Stream) -> None:
        """The client left, or its time is over: its work is freed."""
        self.queue.remove(lambda other: other is stream)
        for replica in self._all():
            for number, item in replica.in_flight.items():
                if item is stream:
                    replica.tell(Cancel(number))
                    return

    def expire(self, now: float) -> None:
        streams = [item for replica in self._all() for item in replica.in_flight.values() if isinstance(item, Stream)]
        for stream in [*self.queue, *streams]:
            if stream.deadline <= now and not stream.ended:
                self.metrics.expired += 1
                stream.fail(DeadlineExceeded("The deadline passed before the answer was complete."))
                self.forget(stream)
