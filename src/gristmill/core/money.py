"""Money as integers: one unit is a millionth of the currency (micro-units). No float ever touches an amount."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import msgspec

from gristmill.core.errors import Unprocessable

MICRO = 1_000_000
CURRENCIES = frozenset(
    """AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW MXN NOK NZD PLN RON RUB SEK SGD THB TRY TWD USD
    ZAR""".split()
)
_AMOUNT = re.compile(r"\s*(?P<number>[+-]?[0-9][0-9_]*(?:\.[0-9]+)?)\s*(?P<currency>[A-Za-z]{3})\s*")


class Money(msgspec.Struct, frozen=True):
    """`micro` micro-units of `currency` (ISO 4217)."""

    micro: int
    currency: str

    def __str__(self) -> str:
        return f"{format_micro(self.micro)} {self.currency}"


def parse_money(text: str) -> Money:
    """`120USD`, `0.25 EUR` → Money. Raises Unprocessable on a negative, non-finite or unknown-currency amount."""
    match = _AMOUNT.fullmatch(text)
    if not match:
        raise Unprocessable(
            f"{text!r} is not an amount of money: write a number and a currency, as in 120USD.", got=text
        )
    currency = match["currency"].upper()
    if currency not in CURRENCIES:
        raise Unprocessable(
            f"{currency!r} is not a known currency: use an ISO 4217 code such as USD or EUR.", got=currency
        )
    micro = to_micro(match["number"].replace("_", ""))
    if micro < 0:
        raise Unprocessable(f"{text!r} is negative: an amount of money here is 0 or more.", got=text)
    return Money(micro, currency)


def to_micro(amount: Decimal | str | int) -> int:
    """Currency units → micro-units, rounded half to even. Raises Unprocessable when not finite."""
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise Unprocessable(f"{amount!r} is not a number.", got=str(amount)) from None
    if not value.is_finite():
        raise Unprocessable(f"{amount!r} is not a finite amount.", got=str(amount))
    return int((value * MICRO).to_integral_value(ROUND_HALF_EVEN))


def price_of(quantity: Decimal | int, unit_price: Decimal) -> int:
    """quantity × price per unit (in currency units) → micro-units, rounded half to even once."""
    return to_micro(Decimal(quantity) * unit_price)


def format_micro(micro: int) -> str:
    """Exact decimal text: 1_234_500 → '1.2345'."""
    sign = "-" if micro < 0 else ""
    whole, part = divmod(abs(micro), MICRO)
    return f"{sign}{whole}.{part:06d}".rstrip("0").rstrip(".") if part else f"{sign}{whole}"


def split_largest_remainder(total: int, weights: Sequence[int]) -> list[int] | None:
    """Split `total` in proportion to `weights` so that the parts sum to it exactly (Hamilton's method).

    Ties go to the earlier part. None when every weight is zero: the total stays undistributed.
    """
    weight_sum = sum(weights)
    if weight_sum == 0:
        return None
    sign = -1 if total < 0 else 1
    shares = [divmod(abs(total) * weight, weight_sum) for weight in weights]
    parts = [quotient for quotient, _ in shares]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-shares[i][1], i))
    for i in by_remainder[: abs(total) - sum(parts)]:
        parts[i] += 1
    return [sign * part for part in parts]
