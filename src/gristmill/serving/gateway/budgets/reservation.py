"""What one request may cost, held back until it is known what it did cost."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.core.faults import fault_point
from gristmill.core.routes import RouteEndpoint
from gristmill.core.sold import sold
from gristmill.core.types import UsageRecord
from gristmill.serving.gateway.budgets.purse import Purse

_after_reserve = fault_point("budgets.after-reserve")


class Reservation:
    """Settled by the request's usage record; what is not answered well costs nothing, and neither does what is not
    recorded."""

    __slots__ = ("_endpoint", "_held")

    def __init__(self, endpoint: RouteEndpoint) -> None:
        self._endpoint = endpoint
        self._held: list[tuple[Purse, int]] = []

    async def take(
        self, purses: Sequence[Purse], operation: str, items: int, tokens: dict[str, int], deadline: float
    ) -> None:
        """From every purse or from none. Raises OverBudget, Unavailable, DeadlineExceeded."""
        try:
            for purse in purses:
                amount = cost(self._endpoint, purse.budget.currency, operation, items, tokens)
                if amount:
                    await purse.reserve(amount, deadline)
                    self._held.append((purse, amount))
        except BaseException:
            self.release()
            raise
        _after_reserve()

    @property
    def leases(self) -> tuple[str, ...]:
        return tuple([purse.lease for purse, _ in self._held])

    def settle(self, record: UsageRecord) -> None:
        """Keep what the recorded use costs; the rest is there for others again."""
        for purse, amount in self._held:
            used = 0
            if 200 <= record.status < 300:
                currency = purse.budget.currency
                used = cost(self._endpoint, currency, record.operation, record.items, record.tokens)
            purse.put_back(amount - used)
        self._held = []

    def release(self) -> None:
        for purse, amount in self._held:
            purse.put_back(amount)
        self._held = []


def cost(endpoint: RouteEndpoint, currency: str, operation: str, items: int, tokens: dict[str, int]) -> int:
    """10^-12 of `currency`; what is priced in another one, or not at all, costs nothing of it."""
    total = 0
    for item, quantity in sold(operation, 1, items, tokens):
        price = endpoint.prices.get(item)
        if price is not None and price.currency == currency:
            total += price.pico * quantity
    return total
