"""The gateway's state: the last snapshot's routes, the pools that serve them, a request's way through them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from time import monotonic

from gristmill.core.errors import GristmillError, Unavailable, Unprocessable
from gristmill.core.generation import Delta
from gristmill.core.routes import RouteEndpoint, RouteKey, Snapshot, read_snapshot
from gristmill.core.types import GatewaySpec
from gristmill.serving.gateway.auth import KeyRing
from gristmill.serving.gateway.budgets.budgets import Budgets
from gristmill.serving.gateway.cache import AnswerCache
from gristmill.serving.gateway.generation.pool import GenerationPool
from gristmill.serving.gateway.generation.stream import Stream
from gristmill.serving.gateway.kept import Kept
from gristmill.serving.gateway.limits import Header, Limiter
from gristmill.serving.gateway.metering import Meter
from gristmill.serving.gateway.metrics import Observed, PoolMetrics, render
from gristmill.serving.gateway.pool import Pool
from gristmill.serving.gateway.routing import AnyPool, Route, Routes, Share
from gristmill.serving.gateway.work import Answer, Work
from gristmill.store.journal import Journal

_DAY_S = 86_400.0
_EXPIRY_EVERY_S = 0.01
_READY_WITHIN_S = 1.0
_TEXT_DEADLINE_MS = 600_000  # a long answer comes for minutes; its reader sees it come
_EXPLAINED = 4  # times a prediction's deadline: an explanation takes hundreds of predictions
PoolKey = tuple[str, str, str]  # tenant, endpoint, digest


class Serving:
    """Made on the running event loop; `reload` swaps the routes as one assignment."""

    def __init__(self, spec: GatewaySpec, snapshot: Snapshot) -> None:
        self.spec = spec
        self.draining = False
        self.grpc_port = 0  # where gRPC listens; 0: it does not
        journal = Path(spec.journal)
        self._journal = Journal(journal, spec.journal_segment_bytes, spec.journal_fsync)
        self._meter = Meter(self._journal)
        self._limiter = Limiter(monotonic)
        self.budgets = Budgets(spec.id, spec.leases_socket)
        self.responses = Kept(Path(spec.kept) / "responses", spec.responses_kept_days * _DAY_S, spec.responses_bytes)
        self.loop = asyncio.get_running_loop()
        self._pepper = Path(spec.pepper_file).read_bytes()
        self._pools: dict[PoolKey, AnyPool] = {}
        self._caches: dict[tuple[str, str], AnswerCache] = {}
        self._retired: list[AnyPool] = []
        self._install(snapshot)

    # Routes

    async def reload(self) -> int:
        """Read the routes file and route by it; waits a moment for its new replicas. Gives the revision."""
        self._install(read_snapshot(Path(self.spec.routes_file)))
        until = monotonic() + _READY_WITHIN_S
        while monotonic() < until and not self._all_ready():  # noqa: ASYNC110 - the replicas' events are many
            await asyncio.sleep(0.005)
        return self.routes.revision

    def _all_ready(self) -> bool:
        return all(pool.all_ready for pool in self._pools.values())

    def _install(self, snapshot: Snapshot) -> None:
        pools: dict[PoolKey, AnyPool] = {}
        routes: dict[tuple[str, str], Route] = {}
        caches: dict[tuple[str, str], AnswerCache] = {}
        for endpoint in snapshot.endpoints:
            of_endpoint = []
            cache = self._cache(endpoint, snapshot.gateways)
            if cache is not None:
                caches[endpoint.tenant, endpoint.name] = cache
            for version in endpoint.versions:
                key = (endpoint.tenant, endpoint.name, version.digest)
                pool = self._pools.get(key)
                if pool is None:
                    kind = Pool if version.signature.language is None else GenerationPool
                    pool = kind(endpoint, version, self._meter, PoolMetrics(), self.spec.id)
                else:
                    pool.update(endpoint, version)
                pool.cache = cache
                pools[key] = pool
                of_endpoint.append(pool)
            routes[endpoint.tenant, endpoint.name] = Route(endpoint, of_endpoint)
        gone = [pool for key, pool in self._pools.items() if key not in pools]
        self.keys = KeyRing(snapshot.keys, self._pepper)
        self.routes = Routes(snapshot.revision, routes)
        self._pools = pools
        self._caches = caches
        self._limiter.gateways = snapshot.gateways
        self.budgets.update(snapshot.budgets)
        self._retired = [pool for pool in self._retired if pool.in_flight] + gone
        for pool in gone:
            for work in pool.close():
                self._reroute(pool, work)

    def _cache(self, endpoint: RouteEndpoint, gateways: int) -> AnswerCache | None:
        """The endpoint's own: it lives as long as the endpoint wants one, whatever versions come and go."""
        most_bytes = endpoint.limits.cache_bytes // gateways
        if not most_bytes:
            return None
        cache = self._caches.get((endpoint.tenant, endpoint.name))
        if cache is None:
            return AnswerCache(most_bytes)
        cache.resize(most_bytes)
        return cache

    def _reroute(self, old: AnyPool, work: Work) -> None:
        """A request that waited for a version that is gone goes to the one that took its place."""
        try:
            self._successor(old, work).take(work)
        except GristmillError as error:
            work.fail(error, error.status)

    def _successor(self, old: AnyPool, work: Work) -> AnyPool:
        pool = self.routes.find(work.key, old.endpoint.name).pick().pool
        if pool.signature.inputs != old.signature.inputs:
            raise Unavailable("The endpoint moved to a version with other inputs: send again.", retry_after_s=0.1)
        return pool

    # Requests

    async def call(self, share: Share, work: Work, deadline_s: float | None) -> Answer:
        """Queue `work` and wait for its answer. Raises its error."""
        pool = self._batching_pool(share.pool, work)
        key = work.key
        limits = pool.endpoint.limits
        if deadline_s is None:
            deadline_s = (limits.deadline_ms or self.spec.default_deadline_ms) / 1e3
            deadline_s *= _EXPLAINED if work.operation == "explain" else 1
        work.deadline = work.arrived_at + deadline_s
        counted = False
        status = 200
        try:
            counted = self._limiter.enter(key)
            if self.budgets:
                work.reservation = await self.budgets.reserve(pool, work)
                pool = self._batching_pool(pool, work)
            if pool.cache is None:
                pool.submit(work)
                return await work.future
            return await _recalled(pool, work)
        except GristmillError as error:
            status = error.status
            raise
        except asyncio.CancelledError:
            status = 499
            pool.forget(work)
            raise
        finally:
            if work.reservation is not None:
                work.reservation.release()
            if counted:
                self._limiter.leave(key)
            pool.metrics.request(status, monotonic() - work.arrived_at)

    def _batching_pool(self, pool: AnyPool, work: Work) -> Pool:
        """The pool, or the one that took its place. Raises Unprocessable where it is a language model's."""
        if pool.closed:  # moved while the request was read, or waited for money
            pool = self._successor(pool, work)
        if isinstance(pool, Pool):
            return pool
        raise Unprocessable(f"{pool.endpoint.name!r} is a language model: call it at /v1/chat/completions or "
                            "/v1/completions.", field="model")  # fmt: skip

    def limit_headers(self, key: RouteKey) -> tuple[Header, ...]:
        """See Limiter.headers."""
        return self._limiter.headers(key)

    def language_pool(self, share: Share, key: RouteKey) -> GenerationPool:
        """Raises Unprocessable where the endpoint is no language model."""
        pool = share.pool
        if pool.closed:  # moved while the request was read
            pool = self.routes.find(key, pool.endpoint.name).pick().pool
        if isinstance(pool, GenerationPool):
            return pool
        raise Unprocessable(f"{pool.endpoint.name!r} is no language model: it answers at /models/{pool.endpoint.name}.",
                            field="model")  # fmt: skip

    async def generate(self, share: Share, stream: Stream, deadline_s: float | None) -> AsyncGenerator[list[Delta]]:
        """What the model writes, as the client takes it; empty lists never come. Raises its error, ClientLeft.

        To be closed: what the client has not waited for is freed then.
        """
        pool = self.language_pool(share, stream.key)
        default_ms = pool.endpoint.limits.deadline_ms or max(self.spec.default_deadline_ms, _TEXT_DEADLINE_MS)
        stream.deadline = stream.arrived_at + (deadline_s or default_ms / 1e3)
        counted = self._limiter.enter(stream.key)
        try:
            if self.budgets:
                stream.reservation = await self.budgets.reserve_text(pool, stream)
                pool = self.language_pool(share, stream.key)
            pool.submit(stream)
            while deltas := await stream.take():
                yield deltas
        except GristmillError as error:
            stream.ended = stream.ended or error.status
            raise
        finally:
            if not stream.ended:
                stream.leave()
            if stream.reservation is not None and not stream.computing:
                stream.reservation.release()
            if counted:
                self._limiter.leave(stream.key, stream.tokens)
            pool.metrics.request(stream.ended, monotonic() - stream.arrived_at)

    async def expire_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRY_EVERY_S)
            now = monotonic()
            for pool in self._retired:
                for work in pool.close():  # put back when a worker that was leaving died
                    self._reroute(pool, work)
            for pool in [*self._pools.values(), *self._retired]:
                pool.expire(now)

    # What is under way

    def in_flight(self) -> dict[str, int]:
        counted: Counter[str] = Counter()
        for pool in [*self._pools.values(), *self._retired]:
            counted[pool.digest] += pool.in_flight
        return dict(counted)

    def quarantined(self) -> int:
        return sum(pool.quarantined for pool in [*self._pools.values(), *self._retired])

    def metrics(self, key: RouteKey) -> bytes:
        """Of all tenants for an admin, else of the key's own."""
        return render(
            Observed(
                pool.endpoint.tenant,
                pool.endpoint.name,
                pool.version.model,
                pool.metrics,
                len(pool.queue),
                pool.in_flight,
                int(pool.ready),
                isinstance(pool, GenerationPool),
            )
            for pool in self._pools.values()
            if key.role == "admin" or pool.endpoint.tenant == key.tenant
        )

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._journal.close()


async def _recalled(pool: Pool, work: Work) -> Answer:
    """From the cache, or computed; the header says which."""
    answer = pool.recall(work)
    if answer is not None:
        return _marked(answer, b"hit")
    pool.submit(work)
    return _marked(await work.future, b"miss")


def _marked(answer: Answer, cache: bytes) -> Answer:
    reply = answer.reply
    return Answer(reply._replace(headers=(*reply.headers, (b"x-gristmill-cache", cache))), answer.model)
