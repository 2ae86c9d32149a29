"""Prices and shares as people write them: exact decimals, never a float."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import NamedTuple

from gristmill.core.errors import Unprocessable
from gristmill.core.money import CURRENCIES, LARGEST
from gristmill.core.units import base_units

_MOST_PLACES = 18
_GRAMS = re.compile(r"\s*([0-9.]+)\s*g\s*")
_PROPOSAL = re.compile(r"(?P<item>[^=]+)=(?P<price>[^/]+)/(?P<unit>\w+)")


class Proposal(NamedTuple):
    """A rate to try: `price` (a decimal, in `currency`) for a `unit` of `item`."""

    item: str
    price: str
    currency: str
    unit: str


def parse_price(price: str) -> tuple[str, str]:
    """`0.05USD` → ("0.05", "USD"): exact, also below a micro-unit; 18 places at most. Raises Unprocessable."""
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
    if value > LARGEST or -int(value.as_tuple().exponent) > _MOST_PLACES:
        raise Unprocessable(f"{price!r} is not a price: it should be at most {LARGEST:,}, with {_MOST_PLACES} decimal "
                            f"places at most.", field="price", got=price)  # fmt: skip
    return format(value, "f"), currency


def parse_grams(text: str) -> str:
    """`445g` → "445": grams of CO2. Raises Unprocessable."""
    grams = _GRAMS.fullmatch(text)
    if grams is None:
        raise Unprocessable(f"{text!r} is no number of grams: write CO2 by kWh as in 445g.", field="price", got=text)
    return parse_price(f"{grams[1]}USD")[0]


def parse_proposal(text: str) -> Proposal:
    """`compute.cpu=0.031USD/core_hour`. Raises Unprocessable."""
    match = _PROPOSAL.fullmatch(text.strip())
    if match is None:
        raise Unprocessable(f"{text!r} proposes no rate: write ITEM=PRICE/UNIT, as in compute.cpu=0.031USD/core_hour.",
                            field="propose", got=text)  # fmt: skip
    base_units(match["item"], match["unit"])
    return Proposal(match["item"], *parse_price(match["price"]), match["unit"])


def parse_share(text: str) -> Fraction:
    """`0.25` → 1/4. Raises Unprocessable unless it is more than 0 and at most 1."""
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal("NaN")
    if not share.is_finite() or not 0 < share <= 1:
        raise Unprocessable(f"A share should be more than 0 and at most 1, and is {text!r}.", field="share", got=text)
    return Fraction(share)
