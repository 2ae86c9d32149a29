"""A pool's shared cost is spread over those who share it, item by item; without weights it stays visible."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting, transfer
from gristmill.books.moving import moved, standing
from gristmill.books.places import place
from gristmill.books.rules.payload import read
from gristmill.core.errors import Unprocessable
from gristmill.core.money import split_largest_remainder


class Target(msgspec.Struct, frozen=True):
    on: str  # run:ID, model:NAME, version:NAME@N, dataset:NAME@N
    weight: int


class CostAllocated(msgspec.Struct, frozen=True):
    pool: str
    targets: tuple[Target, ...]


def postings(event: Event, book: Book) -> list[Posting]:
    """All that stands in the pool, also what could not be spread before. Raises Unprocessable for a negative weight."""
    said = read(event, CostAllocated)
    if any(target.weight < 0 for target in said.targets):
        raise Unprocessable("A weight should be 0 or more: nothing was posted.", field="weight")
    weights = [target.weight for target in said.targets]
    if not any(weights):
        return moved(book, accounts.shared(said.pool), accounts.undistributed(said.pool))
    places = [place(target.on, book, "Shares") for target in said.targets]
    lines: list[Posting] = []
    for source in (accounts.shared(said.pool), accounts.undistributed(said.pool)):
        within, wholes = _netted(said.pool, standing(book, source))
        parts = (part for whole in wholes for part in _parts(whole, places, weights))
        lines += [*within, *(line for part in parts for line in transfer(part, source))]
    return lines


def _netted(pool: str, rows: list[Posting]) -> tuple[list[Posting], list[Posting]]:
    """Lines within the pool that set what a re-rating took back off against the rest, and the rows after them.

    Each row then is 0 or more, and so is each part of it.
    """
    owed: dict[str, int] = defaultdict(int)
    for row in rows:
        owed[row.currency] -= min(0, row.micro)
    within: list[Posting] = []
    after: list[Posting] = []
    for row in rows:
        change = -row.micro if row.micro < 0 else -min(row.micro, owed[row.currency])
        owed[row.currency] += min(0, change)
        within += [replace(row, micro=change, quantity=0.0)] if change else []
        after.append(replace(row, micro=row.micro + change))
    if any(owed.values()):
        raise Unprocessable(f"The pool {pool} is worth less than nothing: nothing was posted.", field="pool")
    return within, after


def _parts(whole: Posting, places: list[Posting], weights: list[int]) -> Iterator[Posting]:
    """Money by largest remainder: the parts sum to the whole exactly. The last part takes what is left in quantity."""
    money = split_largest_remainder(whole.micro, weights) or []
    left, weight_left = whole.quantity, sum(weights)
    for to, micro, weight in zip(places, money, weights, strict=True):
        if not weight:
            continue
        quantity = None if left is None else left if weight == weight_left else left * weight / weight_left
        left, weight_left = None if left is None or quantity is None else left - quantity, weight_left - weight
        yield replace(whole, account=to.account, micro=micro, quantity=quantity, run=to.run, model=to.model,
                      version=to.version)  # fmt: skip
