"""Rate cards: what an input costs (`cost`), what a use is sold for (`price`); when valid, and since when known.

Two more are kept alike: grams of CO2 a kWh (`emissions`), and what a unit of a foreign currency is in the books' own
(`exchange`).
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, NamedTuple

from gristmill.books import records
from gristmill.books.default_rates import DEFAULTS
from gristmill.books.records import Connection
from gristmill.core.errors import Unprocessable
from gristmill.core.ids import derived_id
from gristmill.core.money import price_of
from gristmill.core.prices import parse_grams, parse_price
from gristmill.core.types import Basis
from gristmill.core.units import ELECTRICITY as ELECTRICITY
from gristmill.core.units import EMISSIONS as EMISSIONS
from gristmill.core.units import EXCHANGE as EXCHANGE
from gristmill.core.units import base_units, check_item

COST, PRICE = "cost", "price"
CARDS = (COST, PRICE, EMISSIONS, EXCHANGE)
_HIGHEST = 10**8
GRAM = "g"  # in a rate's place of the currency: grams of CO2


class Rate(NamedTuple):
    """`price` in currency units for one `unit`. Valid in [valid_from, valid_to), known from `known_from` on."""

    id: str
    card: str
    item: str
    unit: str
    price: str
    currency: str
    basis: str
    valid_from: float
    valid_to: float | None
    known_from: float
    note: str

    def micro(self, quantity: Decimal | int) -> int:
        """Price of `quantity` base units, rounded once; of a currency's card, in the currency it is exchanged into."""
        return price_of(quantity, Decimal(self.price), base_units(self.item, self.unit))

    @property
    def pico(self) -> int:
        """Price of one base unit in 10^-12 of the currency, rounded up."""
        return math.ceil(Decimal(self.price) * 10**12 / base_units(self.item, self.unit))

    def grams(self, quantity: float) -> float:
        """CO2 of `quantity` base units, on the card of emissions."""
        return float(Decimal(repr(quantity)) * Decimal(self.price) / base_units(self.item, self.unit))


def lookup(rates: list[Rate], card: str, item: str, at: float, known_at: float) -> Rate | None:
    """The one of `item` at `at`, as it was known at `known_at`; `item:qualifier` falls back to `item`; None: no price.

    Of rates whose periods are nested the innermost holds (the one that begins last), of corrections the latest known.
    """
    for name in _widening(item):
        valid = [
            rate for rate in rates
            if (rate.card, rate.item) == (card, name) and rate.known_from <= known_at
            and rate.valid_from <= at and (rate.valid_to is None or at < rate.valid_to)
        ]  # fmt: skip
        if valid:
            return max(valid, key=lambda rate: (rate.valid_from, rate.known_from))
    return None


def narrowed(item: str, qualifier: str) -> str:
    """`compute.gpu`, `a100` → `compute.gpu:a100`, which `lookup` widens again where there is no such rate."""
    return f"{item}:{qualifier}" if qualifier else item


def _widening(item: str) -> list[str]:
    """`serving.token:completion` → itself, `serving.token`."""
    parts = item.split(":")
    return [":".join(parts[:length]) for length in range(len(parts), 0, -1)]


def boundaries(connection: Connection, tenant: str, card: str) -> list[float]:
    """Moments at which a price of the card may change, in order."""
    rates = [rate for rate in known(connection, tenant) if rate.card == card]
    moments = {rate.valid_from for rate in rates} | {rate.valid_to for rate in rates if rate.valid_to is not None}
    return sorted(moments)


def known(connection: Connection, tenant: str) -> list[Rate]:
    """Every rate of the tenant, the assumed defaults among them."""
    stored = [Rate(**row) for row in records.rates_of(connection, tenant)]
    ids = {rate.id for rate in stored}
    return stored + [rate for rate in _defaults(tenant) if rate.id not in ids]


def seeded(connection: Connection, tenant: str) -> list[Rate]:
    """`known`, and the defaults stored where they were not, so that a posting's rate can be found again."""
    stored = [Rate(**row) for row in records.rates_of(connection, tenant)]
    ids = {rate.id for rate in stored}
    missing = [rate for rate in _defaults(tenant) if rate.id not in ids]
    if missing:
        records.insert_rates(connection, tenant, [rate._asdict() for rate in missing])
    return stored + missing


def list_rates(connection: Connection, tenant: str) -> list[dict[str, Any]]:
    """Every rate, by card, item and time; the defaults where none was set yet."""
    rates = sorted(known(connection, tenant), key=lambda rate: (rate.card, rate.item, rate.valid_from, rate.known_from))
    return [rate._asdict() for rate in rates]


def set_rate(
    connection: Connection, tenant: str, *, card: str, item: str, unit: str, price: str, valid_from: float,
    known_from: float, valid_to: float | None = None, note: str = "", basis: Basis = Basis.measured,
) -> dict[str, Any]:  # fmt: skip
    """A new rate; `price` as in `0.05USD`. Nothing is changed: old rates keep their time.

    It may begin within an open-ended rate, which it then succeeds, or repeat a rate's period, which it then corrects;
    any other overlap is refused. Raises Unprocessable.
    """
    others = seeded(connection, tenant)
    amount, currency = _terms(card, item, unit, price)
    if card == EXCHANGE:
        _check_exchange(others, item, currency, amount)
    if valid_to is not None and valid_to <= valid_from:
        raise Unprocessable("A rate's period ends before it begins: valid_to must be later than valid_from.",
                            field="valid_to")  # fmt: skip
    moments = map(repr, (valid_from, valid_to, known_from))
    id_ = derived_id("rate", tenant, card, item, *moments, amount, currency, unit)
    rate = Rate(id_, card, item, unit, amount, currency, basis.value, valid_from, valid_to, known_from, note)
    for other in others:
        if (other.card, other.item) == (card, item) and _clash(other, rate):
            raise Unprocessable(
                f"The period of this rate of {item} overlaps another one's ({other.price} {other.currency} by "
                f"{other.unit}): give it a valid_to, or the same period to correct it.",
                field="valid_from", got=valid_from,
            )  # fmt: skip
    records.insert_rates(connection, tenant, [rate._asdict()])
    return rate._asdict()


def _clash(old: Rate, new: Rate) -> bool:
    begins_before_end = new.valid_to is None or old.valid_from < new.valid_to
    apart = not begins_before_end or (old.valid_to is not None and old.valid_to <= new.valid_from)
    succeeds = old.valid_to is None and old.valid_from < new.valid_from
    corrects = (old.valid_from, old.valid_to) == (new.valid_from, new.valid_to)
    return not (apart or succeeds or corrects)


def _defaults(tenant: str) -> list[Rate]:
    return [
        Rate(derived_id("rate", tenant, card, item, "default"), card, item, unit, price, currency,
             Basis.assumed.value, 0.0, None, 0.0, note)
        for card, item, unit, price, currency, note in DEFAULTS
    ]  # fmt: skip


def _terms(card: str, item: str, unit: str, price: str) -> tuple[str, str]:
    """The amount and its currency (grams on the card of emissions), when they fit the card. Raises Unprocessable."""
    if card not in CARDS:
        raise Unprocessable(f"There is no rate card {card!r}: there are {', '.join(CARDS)}.", field="card", got=card)
    units = check_item(card, item, unit)
    return (parse_grams(price), GRAM) if card == EMISSIONS else _bounded(*parse_price(price), units)


def _bounded(amount: str, currency: str, units: Decimal) -> tuple[str, str]:
    """What is served is priced after it was answered: a price by which it fits no amount is refused before."""
    if Decimal(amount) > _HIGHEST * units:
        raise Unprocessable(f"A price should be at most {_HIGHEST:,} {currency} for the smallest unit of its item.",
                            field="price", got=amount)  # fmt: skip
    return amount, currency


def _check_exchange(others: list[Rate], item: str, currency: str, price: str) -> None:
    """One currency is the books' own: what is exchanged into it is not itself exchanged. Raises Unprocessable."""
    sold = {rate.item for rate in others if rate.card == EXCHANGE} | {item}
    bought = {rate.currency for rate in others if rate.card == EXCHANGE} | {currency}
    if sold & bought:
        raise Unprocessable(
            f"{item} cannot be exchanged into {currency}: {', '.join(sorted(sold & bought))} would be both exchanged "
            f"and exchanged into; choose one currency for the books.", field="item", got=item,
        )  # fmt: skip
    if not Decimal(price):
        raise Unprocessable(f"An exchange rate of {item} should be more than 0.", field="price", got=price)
