"""A key's limits are of the installation: each of several gateways allows its part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gristmill.core.errors import RateLimited
from gristmill.core.routes import KeyLimits, RouteKey
from gristmill.core.types import Role
from gristmill.serving.gateway.limits import Limiter


class Gateways:
    """Limiters of several gateways on one clock."""

    def __init__(self, count: int, **limits: int) -> None:
        self.now = 0.0
        self.limiters = [Limiter(lambda: self.now) for _ in range(count)]
        for limiter in self.limiters:
            limiter.gateways = count
        self.key = RouteKey("k", "t", Role.consumer, b"", limits=KeyLimits(**limits))

    def enter(self, gateway: int) -> bool:
        try:
            return self.limiters[gateway].enter(self.key)
        except RateLimited:
            return False


@given(some.integers(1, 5), some.integers(1, 120), some.integers(0, 3))
def test_all_gateways_together_let_a_keys_rate_through(count: int, a_minute: int, minutes: int) -> None:
    gateways = Gateways(count, requests_per_minute=a_minute)
    through = 0
    for _ in range(minutes + 1):
        for gateway in range(count):
            while gateways.enter(gateway):
                through += 1
        gateways.now += 60.0
    assert through <= max(a_minute, count) * (minutes + 1)
    assert through >= (a_minute - count) * (minutes + 1)


@given(some.integers(1, 5), some.integers(1, 40))
def test_parallel_requests_are_shared_and_come_back(count: int, most: int) -> None:
    gateways = Gateways(count, max_parallel=most)
    entered = [gateway for gateway in range(count) for _ in range(most) if gateways.enter(gateway)]
    assert most <= len(entered) < most + count
    gateways.limiters[0].leave(gateways.key)
    assert gateways.enter(0)


def test_a_key_that_may_send_nothing_sends_nothing() -> None:
    assert not Gateways(2, requests_per_minute=0).enter(0)


def test_the_wait_that_is_told_is_the_wait_that_it_takes() -> None:
    gateways = Gateways(2, requests_per_minute=60)
    while gateways.enter(0):
        pass
    with pytest.raises(RateLimited) as refused:
        gateways.limiters[0].enter(gateways.key)
    gateways.now += refused.value.retry_after_s or 0.0
    assert gateways.enter(0)
