"""What this gateway holds of one hard budget: requests reserve from it in memory, and it is filled by leases."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections import deque
from collections.abc import Callable
from time import monotonic

from gristmill.core.errors import DeadlineExceeded, GristmillError, OverBudget, Unavailable
from gristmill.core.leases import Lease
from gristmill.core.money import format_micro
from gristmill.core.routes import RouteBudget
from gristmill.serving.gateway.budgets.lessee import Lessee

PICO_A_MICRO = 1_000_000
_AHEAD_S = 1.0  # of its requests' prices is leased beforehand; no more than that is open when the process dies
_LEAST_S = 0.1  # a shorter time tells no pace
_TOLD_S = 0.25  # for so long what the controller said of an exhausted budget holds


class _Pace:
    """How much is reserved in `_AHEAD_S`, by what was since it was last asked for."""

    __slots__ = ("_at", "_reserved", "_since", "ahead")

    def __init__(self) -> None:
        self.ahead = 0
        self._reserved = 0
        self._at = self._since = monotonic()

    def add(self, amount: int) -> None:
        self._reserved += amount
        self._at = monotonic()

    def idle_s(self) -> float:
        return monotonic() - self._at

    def told(self) -> int:
        """`ahead`, brought up to date: at first what was reserved so far, so that it grows with each lease."""
        elapsed_s = monotonic() - self._since
        if elapsed_s >= _LEAST_S:
            self.ahead = int(self._reserved * _AHEAD_S / max(elapsed_s, _AHEAD_S if not self.ahead else 0.0))
            self._reserved, self._since = 0, monotonic()
        return max(self.ahead, self._reserved)


class Purse:
    """Amounts are in 10^-12 of the currency; on the gateway's event loop, with one lease asked for at a time."""

    def __init__(self, budget: RouteBudget, gateway: str, life: str, lessee: Lessee) -> None:
        self.budget = budget
        self.lease = ""  # the controller's id of it; empty until it has answered once
        self._gateway, self._life, self._lessee = gateway, life, lessee
        self._held_micro = 0
        self._numbers = itertools.count(1)
        self._left = 0
        self._pace = _Pace()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._unit = PICO_A_MICRO  # of the request that came last
        self._told = (0.0, 0)  # until when, how much more there is

    async def reserve(self, amount: int, deadline: float) -> None:
        """Take `amount` out, or wait for a lease of it. Raises OverBudget, Unavailable, DeadlineExceeded."""
        if self._left < amount or self._waiting or not self.lease:
            await self._wait(amount, deadline)
        else:
            self._left -= amount
        self._pace.add(amount)
        self._unit = amount
        if self._left < self._pace.ahead // 2 and self._filling is None and not self._known_to_be_gone(amount):
            self._fill()

    def put_back(self, amount: int) -> None:
        """What was reserved and not used; below 0 what was used beyond it."""
        self._left += amount

    async def begin(self) -> None:
        """Let the controller know of this life of the gateway: what an earlier one left open can be settled."""
        await self._tell()

    async def give_back(self, idle_s: float, ended: bool = False) -> None:
        """Return what is left where nothing was reserved for `idle_s`; another gateway may need it."""
        micro = max(0, self._left // PICO_A_MICRO)
        if self._filling is not None or self._pace.idle_s() < idle_s or not (micro or ended):
            return
        self._pace = _Pace()
        self._held_micro -= micro
        self._left -= micro * PICO_A_MICRO
        await self._tell(ended=ended)

    async def _tell(self, *, ended: bool = False) -> None:
        granted = await self._lessee.ask(self._asking(0, 0, ended))
        self.lease = granted.lease

    async def _wait(self, amount: int, deadline: float) -> None:
        if self._known_to_be_gone(amount):
            raise self._over(amount)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        self._fill()
        try:
            async with asyncio.timeout(deadline - monotonic()):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.put_back(amount)
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded("The deadline passed before it was known what is left of a budget.") from None
            raise

    def _fill(self) -> None:
        if self._filling is None:
            self._filling = asyncio.get_running_loop().create_task(self._filled())
            self._filling.add_done_callback(self._filled_up)

    def _filled_up(self, task: asyncio.Task[None]) -> None:
        self._filling = None
        if self._waiting:
            self._fill()

    async def _filled(self) -> None:
        """Lease until nobody waits, or there is nothing for those who do."""
        while True:
            waiting = sum(amount for amount, _ in self._waiting)
            if self._waiting:
                self._unit = self._waiting[0][0]
            least = self._unit - self._left if self._waiting else 0
            wanted = waiting - self._left + self._pace.told()
            try:
                granted = await self._lessee.ask(self._asking(_micro(wanted), _micro(least)))
            except Unavailable as error:
                self._refuse(functools.partial(_same, error))
                return
            self.lease = granted.lease
            self._held_micro += granted.micro
            self._left += granted.micro * PICO_A_MICRO
            self._serve()
            if granted.micro < _micro(wanted) and (not self._waiting or granted.micro == 0):
                more = granted.left_micro * PICO_A_MICRO
                self._told = (monotonic() + _TOLD_S, more)
                self._refuse(self._over, above=self._left + more)
            if not self._waiting:
                return

    def _serve(self) -> None:
        while self._waiting and (self._waiting[0][0] <= self._left or self._waiting[0][1].done()):
            amount, turn = self._waiting.popleft()
            if not turn.done():
                self._left -= amount
                turn.set_result(None)

    def _refuse(self, why: Callable[[int], GristmillError], above: int = -1) -> None:
        kept = [(amount, turn) for amount, turn in self._waiting if amount <= above]
        for amount, turn in self._waiting:
            if amount > above and not turn.done():
                turn.set_exception(why(amount))
        self._waiting = deque(kept)

    def _known_to_be_gone(self, amount: int) -> bool:
        until, more = self._told
        return monotonic() < until and amount > self._left + more

    def _over(self, amount: int) -> OverBudget:
        return OverBudget(
            f"The budget of {self.budget.place} has less left than the {format_micro(_micro(amount))} "
            f"{self.budget.currency} that this request may cost: ask for a higher budget.",
            budget=self.budget.place,
        )

    def _asking(self, wanted_micro: int, least_micro: int, ended: bool = False) -> Lease:
        budget = self.budget
        return Lease(
            gateway=self._gateway, life=self._life, tenant=budget.tenant, place=budget.place, currency=budget.currency,
            number=next(self._numbers), held_micro=self._held_micro, wanted_micro=max(0, wanted_micro),
            least_micro=max(0, least_micro), unit_micro=_micro(self._unit), ended=ended,
        )  # fmt: skip


def _same(error: GristmillError, amount: int) -> GristmillError:
    return error


def _micro(pico: int) -> int:
    """Rounded up."""
    return -(-pico // PICO_A_MICRO)
