"""Requests were answered: what their key owes, and how much of the version's asset they used up."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting, memorandum, transfer
from gristmill.books.pricing import price_more
from gristmill.books.rate_cards import PRICE
from gristmill.books.rules.payload import read
from gristmill.books.writing_down import by_units
from gristmill.core.sold import sold
from gristmill.core.units import BASE_UNITS, base_item

BILLED = "2xx"


class UsagePosted(msgspec.Struct, frozen=True):
    """Usage records of one key, endpoint, version, operation and class of status, summed."""

    key: str
    endpoint: str
    model: str  # NAME@VERSION; empty for a request that was refused before a version was chosen
    operation: str
    status: str  # 2xx, 4xx, ...
    requests: int
    items: int
    compute_us: int
    tokens: dict[str, int] = {}  # by class: prompt, cached, completion
    cached: bool = False  # answered from the endpoint's cache: sold as any other, computed by nobody


def postings(event: Event, book: Book) -> list[Posting]:
    """What was not answered well is counted and not billed."""
    said = read(event, UsagePosted)
    model = said.model.partition("@")[0]
    counted = memorandum(
        accounts.requests(said.model),
        said.requests,
        "request",
        item=f"{said.operation}{'.cached' if said.cached else ''}.{said.status}",
        model=model,
        version=said.model,
        endpoint=said.endpoint,
    )
    if said.status != BILLED or not said.model:
        return [counted]
    units = memorandum(accounts.served_units(said.model), said.items, "prediction", item=said.operation, model=model,
                       version=said.model, endpoint=said.endpoint)  # fmt: skip
    write_down = by_units(book, said.model, said.items, said.endpoint)
    return [counted, units, *_tokens(said, model), *_earned(said, model, book), *write_down]


def _tokens(said: UsagePosted, model: str) -> list[Posting]:
    """By class; classes are disjoint."""
    account = accounts.served_tokens(said.model)
    return [
        memorandum(account, number, "token", item=kind, model=model, version=said.model, endpoint=said.endpoint)
        for kind, number in sorted(said.tokens.items())
        if number
    ]


def _earned(said: UsagePosted, model: str, book: Book) -> list[Posting]:
    account, lines = accounts.receivable(said.key), []
    for item, quantity in sold(said.operation, said.requests, said.items, said.tokens):
        rate = book.rate(PRICE, f"{item}:{said.endpoint}")
        price = price_more(rate, quantity, *book.standing(account, item, rate))
        line = Posting(account=account, micro=price.micro, currency=price.currency, quantity=quantity, item=item,
                       unit=BASE_UNITS[base_item(item)], rate=price.rate, unpriced=price.unpriced, model=model,
                       version=said.model, endpoint=said.endpoint)  # fmt: skip
        lines += transfer(line, accounts.revenue(model)) if quantity else []
    return lines
