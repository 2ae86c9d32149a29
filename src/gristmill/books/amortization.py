"""Units of production: each unit served takes its share of what is left of the asset, over the units still expected."""

from __future__ import annotations

from fractions import Fraction


def write_down(book_value: int, units: int, expected: int, served: int) -> int:
    """Micro-units to write down for `units` more, after `served` of `expected`; never more than is left.

    Prospective: a new estimate, or more put into the asset, changes the units to come and none that were served.
    """
    left = expected - served
    if book_value <= 0 or units <= 0:
        return 0
    if units >= left:
        return book_value
    # floor: what a unit's rounding leaves stays in the asset, and the last expected unit takes the rest
    return int(Fraction(book_value * units, left))
