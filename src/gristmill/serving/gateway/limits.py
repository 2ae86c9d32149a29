"""What a key may ask of this gateway: requests a minute, and how many at a time."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from gristmill.core.errors import RateLimited
from gristmill.core.routes import RouteKey


class _Spent:
    __slots__ = ("at", "parallel", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at
        self.parallel = 0


class Limiter:
    """A token bucket of one minute's requests a key, and a count of those under way; kept across snapshots.

    Of several gateways each allows its part of a key's limits, at least one request: they share no memory, and
    connections are spread evenly.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.gateways = 1
        self._monotonic = monotonic
        self._keys: dict[str, _Spent] = {}

    def enter(self, key: RouteKey) -> bool:
        """Count one request in; True when `leave` must follow. Raises RateLimited with when to come back."""
        limits = key.limits
        if limits.requests_per_minute is None and limits.max_parallel is None:
            return False
        now = self._monotonic()
        spent = self._keys.get(key.id)
        if spent is None:
            spent = self._keys[key.id] = _Spent(self._most(limits.requests_per_minute or 0), now)
        if limits.max_parallel is not None and spent.parallel >= ceil(limits.max_parallel / self.gateways):
            raise RateLimited(
                f"This key may have {limits.max_parallel} requests under way at a time: wait for an answer first.",
                retry_after_s=1.0,
            )
        if limits.requests_per_minute is not None:
            self._spend(spent, limits.requests_per_minute, now)
        spent.parallel += 1
        return True

    def _spend(self, spent: _Spent, a_minute: int, now: float) -> None:
        a_second = a_minute / self.gateways / 60
        spent.tokens = min(self._most(a_minute), spent.tokens + (now - spent.at) * a_second)
        spent.at = now
        if spent.tokens < 1.0:
            wait_s = (1.0 - spent.tokens) / a_second if a_second else 60.0
            raise RateLimited(f"This key may send {a_minute} requests a minute.", retry_after_s=wait_s)
        spent.tokens -= 1.0

    def _most(self, a_minute: int) -> float:
        """Tokens that a bucket holds: a part below 1 would never let a request through."""
        return max(1.0, a_minute / self.gateways) if a_minute else 0.0

    def leave(self, key: RouteKey) -> None:
        self._keys[key.id].parallel -= 1
