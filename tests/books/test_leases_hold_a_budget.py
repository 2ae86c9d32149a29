"""Whatever gateways lease, use, post and lose by dying: no hard budget is overspent, and every micro-unit is told."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.books import leases
from gristmill.books.budgets import Budget, hard_budget, set_budget
from gristmill.books.default_rates import DEFAULTS
from gristmill.books.rate_cards import set_rate
from gristmill.books.records import Connection
from gristmill.books.reports.report import report
from gristmill.books.usage import post_usage
from gristmill.core.budgets import BudgetPeriod
from gristmill.core.leases import Lease
from gristmill.core.money import MICRO
from gristmill.core.routes import RouteEndpoint, RoutePrice
from gristmill.core.sold import SOLD, sold
from gristmill.core.types import UsageRecord
from gristmill.core.units import base_units
from gristmill.serving.gateway.budgets.reservation import cost
from gristmill.store.database import Database
from tests.books.histories import NOON, TENANT, usage

PRICE = 100_000  # micro-units a request
PLACE = "tenant"
GATEWAYS = ("gw0", "gw1", "gw2")


class Life:
    """One life of a gateway's process, as its purse and its journal."""

    def __init__(self, gateway: str, number: int) -> None:
        self.gateway, self.name = gateway, f"{gateway}-{number}"
        self.held = self.spent = self.number = 0
        self.lease = ""
        self.journal: list[UsageRecord] = []

    def says(self, **more: Any) -> Lease:
        self.number += 1
        return Lease(gateway=self.gateway, life=self.name, tenant=TENANT, place=PLACE, currency="USD",
                     number=self.number, held_micro=self.held, **more)  # fmt: skip


class Town(NamedTuple):
    """All gateways over one set of books."""

    connection: Connection
    lives: dict[str, Life]
    ids: list[int]

    def lease(self, life: Life, requests: int, reply_lost: bool) -> None:
        asked = life.says(wanted_micro=requests * PRICE, least_micro=PRICE, unit_micro=PRICE)
        granted = leases.grant(self.connection, asked, len(GATEWAYS), NOON)
        if not reply_lost:
            life.held += granted.micro
            life.lease = granted.lease
            assert leases.grant(self.connection, asked, len(GATEWAYS), NOON).micro == 0  # it comes again, late

    def use(self, life: Life) -> None:
        if life.lease and life.held - life.spent >= PRICE:
            life.spent += PRICE
            life.journal += usage(1, len(self.ids), status=200, leases=(life.lease,))
            self.ids.append(1)

    def give_back(self, life: Life) -> None:
        life.held = life.spent
        leases.grant(self.connection, life.says(), len(GATEWAYS), NOON)

    def post(self, gateway: str, alive: bool = True) -> None:
        """As the shipper does."""
        abandoned = leases.abandoned(self.connection, gateway, alive)
        source, journal = gateway, self.lives[gateway].journal
        if journal:
            post_usage(self.connection, source, journal, len(self.ids) + 1, NOON)
            journal.clear()
        leases.settle(self.connection, abandoned, NOON)

    def die(self, gateway: str, number: int) -> None:
        """The next life finds the journal that this one left."""
        old = self.lives[gateway]
        new = self.lives[gateway] = Life(gateway, number)
        new.journal = old.journal
        leases.grant(self.connection, new.says(), len(GATEWAYS), NOON)


def budget(connection: Connection) -> Budget:
    found = hard_budget(connection, TENANT, PLACE, "USD")
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(6))
def test_no_history_of_leases_uses_and_deaths_overspends_a_budget(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    with database.write() as connection:
        for item, price in (("request", "0.10USD"), ("prediction", "0USD")):
            set_rate(connection, TENANT, card="price", item=f"serving.{item}", unit=item, price=price,
                     valid_from=1, known_from=1)  # fmt: skip
        whole = set_budget(connection, TENANT, PLACE, "5USD", BudgetPeriod.total, 0, 0, hard=True).micro
        town = Town(connection, {gateway: Life(gateway, 0) for gateway in GATEWAYS}, [])
        for step in range(150):
            gateway = chance.choice(GATEWAYS)
            life = town.lives[gateway]
            act = chance.choices(("lease", "use", "back", "post", "die"), (3, 8, 1, 2, 0.4))[0]
            if act == "lease":
                town.lease(life, chance.randint(1, 20), reply_lost=chance.random() < 0.1)
            elif act == "use":
                town.use(life)
            elif act == "back":
                town.give_back(life)
            elif act == "post":
                town.post(gateway)
            else:
                town.die(gateway, step + 1)
            assert len(town.ids) * PRICE <= whole
            assert leases.left(connection, TENANT, budget(connection), NOON) >= 0
        for gateway in GATEWAYS:
            town.post(gateway, alive=False)
        row = report(connection, TENANT, "budget", until=NOON)["rows"][0]
        assert (row["used_micro"], row["leased_micro"]) == (len(town.ids) * PRICE, 0)
        assert row["used_micro"] + row["unsettled_micro"] + row["left_micro"] == whole
        assert row["left_micro"] >= 0


def test_the_last_money_goes_to_whoever_asks_for_it_and_then_no_more(database: Database) -> None:
    with database.write() as connection:
        set_budget(connection, TENANT, PLACE, "1USD", BudgetPeriod.total, 0, 0, hard=True)
        granted, lives = [0, 0], [Life("gw0", 0), Life("gw1", 0)]
        for turn in range(40):
            life = lives[turn % 2]
            life.held = granted[turn % 2]
            asked = life.says(wanted_micro=250 * PRICE, least_micro=PRICE, unit_micro=PRICE)
            granted[turn % 2] += leases.grant(connection, asked, 2, NOON).micro
        assert sum(granted) == 10 * PRICE


PRICES = {
    item: Decimal(price) * MICRO / base_units(name, unit)
    for item in SOLD
    for card, name, unit, price, *_ in DEFAULTS
    if card == "price" and name == item
} | {"serving.token:reasoning": Decimal("1.5")}


@given(
    st.sampled_from(["infer", "generate", "explain"]),
    st.integers(1, 64),
    st.dictionaries(st.sampled_from(["prompt", "cached", "completion", "reasoning"]), st.integers(1, 100_000)),
)
def test_a_gateway_reserves_what_the_rate_card_asks(operation: str, items: int, tokens: dict[str, int]) -> None:
    prices = {item: RoutePrice("USD", int(price * 10**6)) for item, price in PRICES.items()}
    endpoint = RouteEndpoint("e", TENANT, "t", (), prices=prices)
    exact = sum(PRICES.get(item, 0) * quantity for item, quantity in sold(operation, 1, items, tokens))
    assert Decimal(cost(endpoint, "USD", operation, items, tokens)) / 10**6 == exact
    assert cost(endpoint, "EUR", operation, items, tokens) == 0
