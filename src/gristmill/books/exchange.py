"""Foreign money: what is paid in another currency than the books' own goes through the currency's exchange account.

The account holds what was given in the one currency and got in the other, so that each currency sums to zero alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import inf

from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.ledger import Posting, transfer
from gristmill.books.rate_cards import EXCHANGE, Rate, lookup
from gristmill.core.money import MICRO, Money, check_size
from gristmill.core.periods import DAY_S

ITEM = "exchange"


def paid(book: Book, line: Posting, source: str) -> list[Posting]:
    """`line` debited and `source` credited; where an exchange rate holds, `line` in the books' own currency.

    Fractions of a micro-unit are carried on by exchange rate. Raises Unprocessable for more than the books can hold.
    """
    check_size(line.micro // MICRO)
    rate = book.rate(EXCHANGE, line.currency)
    if rate is None or line.unpriced:
        return transfer(line, source)
    account = accounts.exchange(line.currency)
    got = _got(book, account, rate, line.micro)
    check_size(got // MICRO)
    sold = Posting(account=account, micro=-got, currency=rate.currency, quantity=-float(line.micro), unit="micro_unit",
                   basis=line.basis, rate=rate.id, item=ITEM)  # fmt: skip
    given = replace(line, account=account)
    return [replace(line, micro=got, currency=rate.currency), sold, given, line.counter(source)]


def exchanged(rates: Sequence[Rate], money: Money, day: int) -> Money:
    """What money of a day (since the epoch) was in the books' own currency, by the rates known now: by the one that
    holds when the day ends, or else when it begins; the same money where there is none.
    """
    rate = rate_of_day(rates, money.currency, day)
    return money if rate is None else Money(rate.micro(Decimal(money.micro) / MICRO), rate.currency)


def rate_of_day(rates: Sequence[Rate], currency: str, day: int) -> Rate | None:
    of_card = [rate for rate in rates if rate.card == EXCHANGE]
    ends = lookup(of_card, EXCHANGE, currency, (day + 1) * DAY_S - 1, inf)
    return ends or lookup(of_card, EXCHANGE, currency, day * DAY_S, inf)


def _got(book: Book, account: str, rate: Rate, micro: int) -> int:
    quantity, charged = book.standing(account, ITEM, rate)
    before = -round(quantity)
    return max(0, rate.micro(Decimal(before + micro) / MICRO) + charged)


def carrying(book: Book, rate: Rate | None, account: str) -> str:
    """The account on which the fractions of what `rate` priced for `account` stand: in the rate's own currency."""
    foreign = rate is not None and book.rate(EXCHANGE, rate.currency) is not None
    return accounts.exchange(rate.currency) if foreign and rate is not None else account
