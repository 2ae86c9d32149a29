"""Money as integers: one unit is a millionth of the currency (micro-units). No float ever touches an amount."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction

import msgspec

from gristmill.core.errors import Unprocessable

MICRO = 1_000_000
LARGEST = 10**12  # currency units in one amount: sums of many still fit the 64 bits of a database's whole number
# ISO 4217, of January 2026: the currencies of countries, without funds, metals and test codes
CURRENCIES = frozenset(
    """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES
    VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG""".split()
)
_MINOR_UNITS = {
    0: frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split()),
    3: frozenset("BHD IQD JOD KWD LYD OMR TND".split()),
}
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
    """Currency units → micro-units, rounded half to even. Raises Unprocessable when not finite or too large."""
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise Unprocessable(f"{amount!r} is not a number.", got=str(amount)) from None
    if not value.is_finite():
        raise Unprocessable(f"{amount!r} is not a finite amount.", got=str(amount))
    check_size(value)
    return int((value * MICRO).to_integral_value(ROUND_HALF_EVEN))


def price_of(quantity: Decimal | int, price: Decimal, units: Decimal | int = 1) -> int:
    """`quantity` at `price` (in currency units) for `units` of it → micro-units, rounded half to even once.

    Exact before it is rounded: a third of a price is no decimal number.
    """
    return round(Fraction(quantity) * Fraction(price) / Fraction(units) * MICRO)


def check_size(amount: Decimal | int) -> None:
    """Raises Unprocessable for more currency units than one amount may have."""
    if not -LARGEST <= amount <= LARGEST:
        raise Unprocessable(f"An amount of money should be at most {LARGEST:,} of its currency.", expected=LARGEST)


def minor_units(currency: str) -> int:
    """Decimal places in which the currency is paid: 2 of USD, 0 of JPY, 3 of KWD (ISO 4217)."""
    return next((places for places, currencies in _MINOR_UNITS.items() if currency in currencies), 2)


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
