"""Rate cards: what an input costs (`cost`), what a use is sold for (`price`); when valid, and since when known."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from gristmill.books import records
from gristmill.books.records import Connection
from gristmill.books.units import base_units
from gristmill.core.errors import Unprocessable
from gristmill.core.ids import derived_id
from gristmill.core.money import CURRENCIES, price_of
from gristmill.core.types import Basis

COST, PRICE = "cost", "price"
CARDS = (COST, PRICE)
_ASSUMED = "assumed default: replace it with `gristmill books rates --item ... --price ... --unit ...`"
# Orders of magnitude of public list prices in 2025: an on-demand general-purpose vCPU with memory, an 80 GB GPU, US
# industrial electricity, object storage; a fully loaded engineer's hour. Inference prices are such that demos earn.
_DEFAULTS = (
    (COST, "compute.cpu", "core_hour", "0.04"),
    (COST, "compute.memory", "gib_hour", "0.005"),
    (COST, "compute.gpu", "gpu_hour", "2.50"),
    (COST, "energy.electricity", "kwh", "0.15"),
    (COST, "people.hours", "person_hour", "80"),
    (COST, "storage.blobs", "gb_month", "0.023"),
    (PRICE, "serving.request", "1k_requests", "0.05"),
    (PRICE, "serving.prediction", "1k_predictions", "0.10"),
    (PRICE, "serving.explanation", "1k_explanations", "5"),
)
_DEFAULT_CURRENCY = "USD"


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
        """Price of `quantity` base units, rounded once."""
        return price_of(quantity, Decimal(self.price) / base_units(self.item, self.unit))


def lookup(rates: list[Rate], card: str, item: str, at: float, known_at: float) -> Rate | None:
    """The one of `item` at `at`, as it was known at `known_at`; `item:qualifier` falls back to `item`; None: no price.

    Of rates whose periods are nested the innermost holds (the one that begins last), of corrections the latest known.
    """
    for name in dict.fromkeys((item, item.partition(":")[0])):
        valid = [
            rate for rate in rates
            if (rate.card, rate.item) == (card, name) and rate.known_from <= known_at
            and rate.valid_from <= at and (rate.valid_to is None or at < rate.valid_to)
        ]  # fmt: skip
        if valid:
            return max(valid, key=lambda rate: (rate.valid_from, rate.known_from))
    return None


def boundaries(connection: Connection, tenant: str, card: str) -> list[float]:
    """Moments at which a price of the card may change, in order."""
    rates = [rate for rate in known(connection, tenant) if rate.card == card]
    moments = {rate.valid_from for rate in rates} | {rate.valid_to for rate in rates if rate.valid_to is not None}
    return sorted(moments)


def known(connection: Connection, tenant: str) -> list[Rate]:
    """Every rate of the tenant; the assumed defaults where none was set."""
    return [Rate(**row) for row in records.rates_of(connection, tenant)] or _defaults(tenant)


def seeded(connection: Connection, tenant: str) -> list[Rate]:
    """`known`, and the defaults stored where there was none, so that a posting's rate can be found again."""
    stored = records.rates_of(connection, tenant)
    if stored:
        return [Rate(**row) for row in stored]
    records.insert_rates(connection, tenant, [rate._asdict() for rate in _defaults(tenant)])
    return _defaults(tenant)


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
    base_units(item, unit)
    amount, currency = parse_price(price)
    if card not in CARDS:
        raise Unprocessable(f"There is no rate card {card!r}: there are {', '.join(CARDS)}.", field="card", got=card)
    if valid_to is not None and valid_to <= valid_from:
        raise Unprocessable("A rate's period ends before it begins: valid_to must be later than valid_from.",
                            field="valid_to")  # fmt: skip
    id_ = derived_id("rate", tenant, card, item, repr(valid_from), repr(valid_to), repr(known_from), amount, currency)
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
        Rate(derived_id("rate", tenant, card, item, "default"), card, item, unit, price, _DEFAULT_CURRENCY,
             Basis.assumed.value, 0.0, None, 0.0, _ASSUMED)
        for card, item, unit, price in _DEFAULTS
    ]  # fmt: skip


def parse_price(price: str) -> tuple[str, str]:
    """`0.05USD` → ("0.05", "USD"): exact, also below a micro-unit. Raises Unprocessable."""
    text = price.replace("_", "").replace(" ", "")
    number, currency = text[:-3], text[-3:].upper()
    try:
        value = Decimal(number)
    except InvalidOperation:
        raise Unprocessable(
            f"{price!r} is not a price: write a number and a currency, as in 0.05USD.", field="price", got=price
        ) from None
    if currency not in CURRENCIES:
        raise Unprocessable(f"{currency!r} is not a known currency: use an ISO 4217 code such as USD or EUR.",
                            field="price", got=price)  # fmt: skip
    if not value.is_finite() or value < 0:
        raise Unprocessable(f"{price!r} is not a price: it should be 0 or more and finite.", field="price", got=price)
    return format(value, "f"), currency
