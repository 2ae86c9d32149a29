"""Write-downs: by units of production, in a straight line, by economic decay; prospective, in whole micro-units.

A new estimate, or more put into the asset, changes what is to come and nothing that was written down.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal
from enum import StrEnum
from fractions import Fraction

_PRECISE = Context(prec=60)  # micro-units have 19 digits: the rest is room for the power


class Method(StrEnum):
    """How a version's asset is written down."""

    units_of_production = "units-of-production"
    straight_line = "straight-line"
    economic_decay = "economic-decay"


def write_down(book_value: int, units: int, expected: int, served: int) -> int:
    """Micro-units for `units` more, after `served` of `expected`: each unit's share; never more than is left."""
    left = expected - served
    if book_value <= 0 or units <= 0:
        return 0
    if units >= left:
        return book_value
    # floor: what a unit's rounding leaves stays in the asset, and the last expected unit takes the rest
    return int(Fraction(book_value * units, left))


def straight_line(book_value: int, since: int, until: int, end: int) -> int:
    """Micro-units for the seconds from `since` to `until` of a life that ends at `end`, each the same."""
    if book_value <= 0 or until <= since:
        return 0
    if until >= end:
        return book_value
    return int(Fraction(book_value * (until - since), end - since))


def economic_decay(book_value: int, seconds: int, half_life: int) -> int:
    """Micro-units for `seconds` in which the value halves every `half_life`: value · (1 − 2^(−t/h)), rounded down."""
    if book_value <= 0 or seconds <= 0:
        return 0
    halvings = _PRECISE.divide(Decimal(-seconds), Decimal(half_life))
    kept = _PRECISE.multiply(Decimal(book_value), _PRECISE.power(Decimal(2), halvings))
    return book_value - int(kept.to_integral_value(ROUND_CEILING))
