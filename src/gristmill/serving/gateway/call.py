"""One request whose caller is known, whatever it came over: its way to the models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from time import monotonic

from gristmill.core.generation import Delta, GenerationRequest
from gristmill.core.routes import RouteKey
from gristmill.serving.gateway.generation.stream import Stream
from gristmill.serving.gateway.kept import Kept
from gristmill.serving.gateway.routing import Route, Share
from gristmill.serving.gateway.serving import Serving
from gristmill.serving.gateway.work import Answer, Header, Job, Render, Work


class Call:
    __slots__ = ("_route", "_serving", "arrived_at", "key", "record_id", "size")

    def __init__(self, serving: Serving, key: RouteKey, record_id: str) -> None:
        self._serving = serving
        self._route: Route | None = None
        self.arrived_at = monotonic()
        self.key = key
        self.record_id = record_id
        self.size = 0  # bytes of the request

    def route(self, name: str) -> Route:
        self._route = self._serving.routes.find(self.key, name)
        return self._route

    @property
    def model(self) -> str:
        """The version that the endpoint asked for serves, as a refusal names it; empty while it serves several."""
        served = [share for share in self._route.shares if share.weight > 0] if self._route is not None else []
        return served[0].pool.version.model if len(served) == 1 else ""

    def routes(self) -> list[Route]:
        return self._serving.routes.visible(self.key)

    async def call(self, share: Share, job: Job, rows: int, render: Render, timeout_s: float | None = None) -> Answer:
        """Have `job` computed within `timeout_s`, else within the endpoint's deadline. Raises its error."""
        return await self._serving.call(share, self._work(job, rows, render), timeout_s)

    def _work(self, job: Job, rows: int, render: Render) -> Work:
        future = self._serving.loop.create_future()
        return Work(job, rows, self.key, render, self.record_id, self.size, self.arrived_at, future)

    def streams(self, asked: Sequence[GenerationRequest]) -> list[Stream]:
        """One for each text to generate; each is metered under an id of its own."""
        ids = [self.record_id, *(f"{self.record_id}-{place}" for place in range(1, len(asked)))]
        return [
            Stream(one, self.key, record_id, self.size, self.arrived_at)
            for one, record_id in zip(asked, ids, strict=True)
        ]

    def generate(self, share: Share, stream: Stream, timeout_s: float | None = None) -> AsyncGenerator[list[Delta]]:
        """See Serving.generate."""
        return self._serving.generate(share, stream, timeout_s)

    def limit_headers(self) -> tuple[Header, ...]:
        """What the caller's key has left, as OpenAI's headers."""
        return self._serving.limit_headers(self.key)

    @property
    def kept_responses(self) -> Kept:
        return self._serving.responses

    async def tokenize(self, share: Share, asked: GenerationRequest) -> bytes:
        """See GenerationPool.tokenize."""
        return await self._serving.language_pool(share, self.key).tokenize(asked)
