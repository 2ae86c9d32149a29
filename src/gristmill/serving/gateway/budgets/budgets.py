"""The hard budgets of the last snapshot: which of them a request is paid from, and the most that it may cost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from gristmill.core.errors import Unavailable
from gristmill.core.ids import new_id
from gristmill.core.routes import RouteBudget, RouteEndpoint, RouteKey
from gristmill.serving.gateway.budgets.lessee import Lessee
from gristmill.serving.gateway.budgets.purse import Purse
from gristmill.serving.gateway.budgets.reservation import Reservation
from gristmill.serving.gateway.generation.pool import GenerationPool
from gristmill.serving.gateway.generation.stream import Stream
from gristmill.serving.gateway.pool import Pool
from gristmill.serving.gateway.work import Work
from gristmill.tasks.text_embedding import TOKENS

_log = logging.getLogger(__name__)
_TEMPLATE_TOKENS = 1024  # more than a chat template adds to what the request says
_FRAME_TOKENS = 2  # that an encoder puts around a text
_IDLE_S = 1.0


class Budgets:
    """Empty where there is no hard budget: then nothing is reserved."""

    def __init__(self, gateway: str, socket: str) -> None:
        self._gateway = gateway
        self._life = new_id("life")
        self._lessee = Lessee(socket)
        self._purses: dict[RouteBudget, Purse] = {}  # of every budget that this process ever knew
        self._by_place: dict[tuple[str, str], list[Purse]] = {}
        self._background: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._by_place)

    def update(self, budgets: tuple[RouteBudget, ...]) -> None:
        """Take over another snapshot's budgets; what is held of those that stay, stays."""
        before = {purse.budget for purses in self._by_place.values() for purse in purses}
        self._by_place = {}
        for budget in budgets:
            if budget not in self._purses:
                self._purses[budget] = Purse(budget, self._gateway, self._life, self._lessee)
            purse = self._purses[budget]
            self._by_place.setdefault((budget.tenant, budget.place), []).append(purse)
            if budget not in before:
                self._begin(purse.begin())
        for budget in before.difference(budgets):
            self._begin(self._purses[budget].give_back(0.0, ended=True))

    async def reserve(self, pool: Pool, work: Work) -> Reservation:
        """The most that `work` may cost. Raises OverBudget; Unavailable while nobody can tell what is left."""
        reads = any(output.name == TOKENS for output in pool.signature.outputs)
        tokens = {"prompt": work.bytes_in + _FRAME_TOKENS * work.rows} if reads else {}
        reservation = Reservation(pool.endpoint)
        purses = self._of(work.key, pool.endpoint, pool.version.model)
        await reservation.take(purses, work.operation, work.rows, tokens, work.deadline)
        return reservation

    async def reserve_text(self, pool: GenerationPool, stream: Stream) -> Reservation:
        """The most that the text may cost: a token has at least one byte of the request, or is of the template."""
        facts = pool.signature.language
        assert facts is not None
        asked = stream.asked
        prompt = len(asked.prompt) if isinstance(asked.prompt, list) else stream.bytes_in + _TEMPLATE_TOKENS
        context = facts.context_length
        completion = asked.n * min(context, context if asked.max_tokens is None else asked.max_tokens)
        dear = _dearest(pool.endpoint)
        tokens = {dear("prompt", "cached"): min(prompt, context), dear("completion", "reasoning"): completion}
        adapter = pool.adapter(asked.adapter) if asked.adapter is not None else None
        model = adapter.model if adapter is not None else pool.version.model
        reservation = Reservation(pool.endpoint)
        purses = self._of(stream.key, pool.endpoint, model)
        await reservation.take(purses, stream.operation, stream.rows, tokens, stream.deadline)
        return reservation

    def _of(self, key: RouteKey, endpoint: RouteEndpoint, version: str) -> list[Purse]:
        model = version.partition("@")[0]
        places = ("tenant", f"key:{key.id}", f"project:{key.project}", f"endpoint:{endpoint.name}", f"model:{model}")
        return [purse for place in places for purse in self._by_place.get((endpoint.tenant, place), ())]

    async def return_idle(self) -> None:
        """For ever: what nobody reserved from for a while may be needed by another gateway."""
        while True:
            await asyncio.sleep(_IDLE_S)
            for purse in list(self._purses.values()):
                await _told(purse.give_back(_IDLE_S))

    async def close(self) -> None:
        """Give everything back: what was asked is answered."""
        for purse in self._purses.values():
            await _told(purse.give_back(0.0, ended=True))
        self._lessee.close()

    def _begin(self, told: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(_told(told))
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _told(telling: Coroutine[None, None, None]) -> None:
    try:
        await telling
    except Unavailable as error:
        _log.warning("%s", error.message)


def _dearest(endpoint: RouteEndpoint) -> Callable[..., str]:
    """Of classes of tokens the one that costs most."""

    def price(kind: str) -> int:
        found = endpoint.prices.get(f"serving.token:{kind}")
        return found.pico if found is not None else 0

    return lambda *kinds: max(kinds, key=price)
