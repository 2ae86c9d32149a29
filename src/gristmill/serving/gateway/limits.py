"""What a key may ask of this gateway: requests and tokens a minute, and how many requests at a time."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from gristmill.core.errors import RateLimited
from gristmill.core.routes import RouteKey

Header = tuple[bytes, bytes]


class _Bucket:
    """One minute's worth of something, refilled all the time."""

    __slots__ = ("_a_second", "_at", "_most", "left")

    def __init__(self, now: float) -> None:
        self.left = float("inf")  # full at first, whatever `most` turns out to be
        self._a_second = self._most = 0.0
        self._at = now

    def refill(self, a_minute: float, now: float, least: float = 0.0) -> None:
        """`least`: what a full bucket holds at any rate; a part below 1 would never let a request through."""
        self._most = max(least, a_minute)
        self._a_second = a_minute / 60
        self.left = min(self._most, self.left + (now - self._at) * self._a_second)
        self._at = now

    def wait_s(self, for_: float) -> float:
        """Until so much is left."""
        return (for_ - self.left) / self._a_second if self._a_second else 60.0

    def headers(self, of: bytes, limit: int) -> list[Header]:
        full_s = (self._most - self.left) / self._a_second if self._a_second else 60.0
        return [
            (b"x-ratelimit-limit-" + of, b"%d" % limit),
            (b"x-ratelimit-remaining-" + of, b"%d" % max(0, int(self.left))),
            (b"x-ratelimit-reset-" + of, b"%.3fs" % max(0.0, full_s)),
        ]


class _Spent:
    __slots__ = ("parallel", "requests", "tokens")

    def __init__(self, now: float) -> None:
        self.requests, self.tokens = _Bucket(now), _Bucket(now)
        self.parallel = 0


class Limiter:
    """Token buckets a key (Turner 1986), and a count of its requests under way; kept across snapshots.

    Tokens of a text are known when it is written: they are taken off then, and a key that has none left waits until it
    has. Of several gateways each allows its part of a key's limits, at least one request: they share no memory, and
    connections are spread evenly.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.gateways = 1
        self._monotonic = monotonic
        self._keys: dict[str, _Spent] = {}

    def enter(self, key: RouteKey) -> bool:
        """Count one request in; True when `leave` must follow. Raises RateLimited with when to come back."""
        limits = key.limits
        if limits.requests_per_minute is None and limits.max_parallel is None and limits.tokens_per_minute is None:
            return False
        spent = self._refilled(key)
        if limits.max_parallel is not None and spent.parallel >= ceil(limits.max_parallel / self.gateways):
            raise RateLimited(
                f"This key may have {limits.max_parallel} requests under way at a time: wait for an answer first.",
                retry_after_s=1.0,
            )
        if limits.tokens_per_minute is not None and spent.tokens.left <= 0:
            raise RateLimited(f"This key may use {limits.tokens_per_minute} tokens a minute.",
                              retry_after_s=spent.tokens.wait_s(1.0))  # fmt: skip
        if limits.requests_per_minute is not None:
            if spent.requests.left < 1.0:
                raise RateLimited(f"This key may send {limits.requests_per_minute} requests a minute.",
                                  retry_after_s=spent.requests.wait_s(1.0))  # fmt: skip
            spent.requests.left -= 1.0
        spent.parallel += 1
        return True

    def _refilled(self, key: RouteKey) -> _Spent:
        now = self._monotonic()
        spent = self._keys.get(key.id)
        if spent is None:
            spent = self._keys[key.id] = _Spent(now)
        a_minute, tokens = key.limits.requests_per_minute, key.limits.tokens_per_minute
        if a_minute is not None:
            spent.requests.refill(a_minute / self.gateways, now, least=1.0 if a_minute else 0.0)
        if tokens is not None:
            spent.tokens.refill(tokens / self.gateways, now)
        return spent

    def leave(self, key: RouteKey, tokens: int = 0) -> None:
        """The request that was counted in has ended, and used so many tokens of text."""
        spent = self._keys[key.id]
        spent.parallel -= 1
        if key.limits.tokens_per_minute is not None:
            spent.tokens.left -= tokens

    def headers(self, key: RouteKey) -> tuple[Header, ...]:
        """OpenAI's, of what this gateway allows; none where the key has no such limit."""
        limits, found = key.limits, list[Header]()
        if limits.requests_per_minute is not None:
            found += self._refilled(key).requests.headers(b"requests", limits.requests_per_minute)
        if limits.tokens_per_minute is not None:
            found += self._refilled(key).tokens.headers(b"tokens", limits.tokens_per_minute)
        return tuple(found)
