"""One request to a language model between its admission and its last token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from gristmill.core.errors import GristmillError
from gristmill.core.generation import Delta, GenerationRequest, TokenUsage
from gristmill.core.routes import RouteKey
from gristmill.core.types import AdapterRef
from gristmill.serving.gateway.body import ClientLeft
from gristmill.serving.gateway.budgets.reservation import Reservation


class Stream:
    """What the model writes waits here until the client has taken what came before: a slow reader gets larger pieces,
    and keeps nobody else waiting. Ended once, by whoever ends it.
    """

    __slots__ = (
        "_accepted", "_deltas", "_wake", "adapter", "arrived_at", "asked", "begun_at", "bytes_in", "computing",
        "deadline", "deaths", "ended", "error", "forget", "key", "last_at", "prompt_tokens", "record_id", "reservation",
        "rows", "sent", "usage", "whole", "written",
    )  # fmt: skip

    def __init__(
        self, asked: GenerationRequest, key: RouteKey, record_id: str, bytes_in: int, arrived_at: float
    ) -> None:
        self.asked = asked
        self.adapter: AdapterRef | None = None  # known once it is in a pool
        self.key = key
        self.record_id = record_id
        self.rows = asked.n
        self.bytes_in = bytes_in
        self.arrived_at = arrived_at  # time.monotonic
        self.deadline = float("inf")
        self.reservation: Reservation | None = None  # where a hard budget pays for it
        self.computing = False  # a replica has it, and what it used will be metered
        self.deaths = 0  # workers that died while this was in flight on them
        self.prompt_tokens = 0  # known once a worker has begun
        self.begun_at = 0.0  # when the first token came
        self.last_at = 0.0  # when the last one came
        self.sent = 0  # tokens that the client took
        self.whole = False  # the client gets it in one piece: until then it has nothing of it
        self.written = 0  # bytes of the answer
        self.ended = 0  # the status that it ended with; 0: under way
        self.usage: TokenUsage | None = None  # there when the stream ended well
        self.error: GristmillError | None = None
        self.forget: Callable[[Stream], None] = _nobody  # told when the client leaves
        self._deltas: list[Delta] = []
        self._wake: asyncio.Future[None] | None = None
        self._accepted: asyncio.Future[None] | None = None

    @property
    def operation(self) -> str:
        """As it is metered."""
        return "generate" if self.asked.explanation is None else "explain"

    @property
    def touched(self) -> bool:
        """Whether the client has anything of the answer: then it cannot begin again elsewhere."""
        return self.sent > 0 or self.written > 0

    @property
    def tokens(self) -> int:
        """Read and written, as far as they are known."""
        return self.usage.prompt + self.usage.completion if self.usage is not None else self.prompt_tokens + self.sent

    @property
    def first_token_s(self) -> float | None:
        """From its arrival; None while no token came."""
        return self.begun_at - self.arrived_at if self.begun_at else None

    def per_token_s(self, completion: int) -> float | None:
        """Mean from one token to the next; `completion`: how many came, over all choices. None: fewer than two each."""
        after_first = completion / self.rows - 1
        return (self.last_at - self.begun_at) / after_first if self.begun_at and after_first > 0 else None

    # The pool's side

    def begin(self, prompt_tokens: int) -> None:
        """A replica has taken its prompt."""
        self.prompt_tokens = prompt_tokens
        self._accept()

    def push(self, delta: Delta) -> None:
        if delta.tokens:  # a prompt that comes again is not timed
            self.last_at = monotonic()
            self.begun_at = self.begun_at or self.last_at
        self._deltas.append(delta)
        self._call()

    def begin_again(self) -> None:
        """Its worker died before the client took anything."""
        self.computing = False
        self._deltas.clear()
        self.begun_at = 0.0

    def finish(self, usage: TokenUsage) -> None:
        self.ended = self.ended or 200
        self.usage = usage
        self._call()

    def fail(self, error: GristmillError) -> None:
        self.ended = self.ended or error.status
        self.error = self.error or error
        self._call()

    def leave(self) -> None:
        self.ended = self.ended or 499
        self._call()
        self.forget(self)

    def _accept(self) -> None:
        if self._accepted is not None and not self._accepted.done():
            self._accepted.set_result(None)

    def _call(self) -> None:
        if self.ended:
            self._accept()
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # The client's side

    def accepted(self) -> asyncio.Future[None]:
        """Done once a replica has taken its prompt, or it has ended; asked for before it is sent."""
        self._accepted = asyncio.get_running_loop().create_future()
        return self._accepted

    async def take(self) -> list[Delta]:
        """What came since the last call, empty when the stream ended well. Raises its error, or ClientLeft."""
        while not self.ended and (self.whole or not self._deltas):
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        if self.ended == 499:
            raise ClientLeft
        taken, self._deltas = self._deltas, []
        if not taken and self.error is not None:
            raise self.error
        self.sent += sum([delta.tokens for delta in taken])
        return taken


def _nobody(stream: Stream) -> None:
    """Not in a pool yet."""
