"""What chats and completions share: streams of a request taken whole or as events, and what they used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from gristmill.core.errors import GristmillError, NotFound
from gristmill.core.generation import Delta, GenerationRequest, LanguageFacts, TokenUsage
from gristmill.serving.gateway.dialects.openai.errors import error_event
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.routing import Share
from gristmill.serving.gateway.work import Answer, Header, Reply, Streamed, StreamedAnswer

DONE = b"data: [DONE]\n\n"
_EVENTS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # of nginx: it would hold events back
)


class Target(NamedTuple):
    """The version that answers, and the adapter on it: `model` is what the client called."""

    model: str
    share: Share
    adapter: str | None
    facts: LanguageFacts | None


def target(request: Request, model: str) -> Target:
    """`ENDPOINT`, `ENDPOINT@VERSION`, `ENDPOINT:ADAPTER`. Raises NotFound."""
    named, _, adapter = model.partition(":")
    name, _, version = named.partition("@")
    try:
        share = request.route(name).pick(version or None, adapter or None)
    except NotFound as error:
        raise NotFound(error.message, field="model", reason="model_not_found") from None
    return Target(model, share, adapter or None, share.pool.signature.language)


def usage_document(used: Sequence[TokenUsage]) -> dict[str, Any]:
    prompt, completion = sum(one.prompt for one in used), sum(one.completion for one in used)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(one.cached for one in used)},
        "completion_tokens_details": {"reasoning_tokens": sum(one.reasoning for one in used)},
    }


class Generations:
    """The streams of one HTTP request: one a prompt."""

    def __init__(self, request: Request, at: Target, asked: Sequence[GenerationRequest]) -> None:
        self._request, self._at = request, at
        self._timeout_s: float | None = None
        self.streams = request.streams(asked)

    def used(self) -> list[TokenUsage]:
        return [stream.usage for stream in self.streams if stream.usage is not None]

    async def whole(self, take: Callable[[int, Delta], object], timeout_s: float | None = None) -> None:
        """Every delta with its prompt's place, once all have ended. Raises the first error."""
        self._timeout_s = timeout_s
        for stream in self.streams:
            stream.whole = True
        async with aclosing(self._deltas()) as deltas:
            async for place, several in deltas:
                for delta in several:
                    take(place, delta)

    async def _deltas(self) -> AsyncGenerator[tuple[int, list[Delta]]]:
        if len(self.streams) == 1:
            async with aclosing(self._request.generate(self._at.share, self.streams[0], self._timeout_s)) as single:
                async for deltas in single:
                    yield 0, deltas
            return
        queue: asyncio.Queue[tuple[int, list[Delta]] | Exception | None] = asyncio.Queue(maxsize=len(self.streams))
        feeding = [asyncio.create_task(self._feed(queue, place)) for place in range(len(self.streams))]
        writing = len(feeding)
        try:
            while writing:
                item = await queue.get()
                if isinstance(item, Exception):
                    raise item
                if item is None:
                    writing -= 1
                else:
                    yield item
        finally:  # the first error, or a client that leaves, ends them all
            for task in feeding:
                task.cancel()
            await asyncio.gather(*feeding, return_exceptions=True)

    async def _feed(self, queue: asyncio.Queue[tuple[int, list[Delta]] | Exception | None], place: int) -> None:
        try:
            stream = self._request.generate(self._at.share, self.streams[place], self._timeout_s)
            async with aclosing(stream) as single:
                async for deltas in single:
                    await queue.put((place, deltas))
            await queue.put(None)
        except Exception as error:
            await queue.put(error)

    def reply(self, body: bytes) -> Answer:
        return Answer(Reply(body), self._at.share.pool.version.model)

    async def events(
        self,
        render: Callable[[int, Delta], bytes],
        last: Callable[[], bytes],
        *,
        done: bool = True,
        broken: Callable[[GristmillError], bytes] = error_event,
    ) -> StreamedAnswer:
        """As server-sent events; `done`: say `[DONE]`; `broken`: the event of an error in mid-stream.

        What fails before the first, or before every prompt is taken, fails with its own status.
        """
        deltas = self._deltas()
        try:
            several = [(stream, stream.accepted()) for stream in self.streams] if len(self.streams) > 1 else []
            first = await anext(deltas, None)
            for stream, accepted in several:
                await accepted
                if stream.error is not None:
                    raise stream.error
        except BaseException:
            await deltas.aclose()
            raise

        async def written() -> AsyncGenerator[bytes]:
            async with aclosing(deltas):
                try:
                    if first is not None:
                        yield self._written(first, render)
                    async for item in deltas:
                        yield self._written(item, render)
                    ended = last()
                except GristmillError as error:
                    yield broken(error)
                    return
                yield ended + (DONE if done else b"")

        return StreamedAnswer(Streamed(written(), _EVENTS), self._at.share.pool.version.model)

    def _written(self, item: tuple[int, list[Delta]], render: Callable[[int, Delta], bytes]) -> bytes:
        place, deltas = item
        data = b"".join([render(place, delta) for delta in deltas])
        self.streams[place].written += len(data)
        return data


def now() -> int:
    return int(time.time())
