"""What an event would be by the rates as they are known now: the old lines taken back, the new ones put in their place.

The old value is taken back from where it stands by now (in a version, once one was made of it), and not from where the
event put it; where less is left there than is taken back, the rest was written down already and is a gain of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from gristmill.books import accounts, exchange
from gristmill.books.book import Book
from gristmill.books.dataset_shares import followed
from gristmill.books.exchange import carrying, paid
from gristmill.books.ledger import Posting, posting_of, transfer
from gristmill.books.overdraft import held_by, lacking
from gristmill.books.places import of_run, of_version
from gristmill.books.pricing import price_more
from gristmill.books.rate_cards import COST, ELECTRICITY, EMISSIONS, EXCHANGE, PRICE, Rate, narrowed
from gristmill.books.records import Row

KIND = "rerated"
RATED_KINDS = ("run.used", "replica.used", "usage.posted", "hours.declared", "storage.used", "capacity.idle",
               "dataset.added", "data.paid", "service.bought", "compute.declared", "hardware.used")  # fmt: skip
_CARDS = {"inputs": COST, "revenue": PRICE, "emissions": EMISSIONS}


class Group(NamedTuple):
    """One line with its counter, and between them those of the exchange account where it was foreign money."""

    debit: Row
    between: tuple[Row, ...]
    credit: Row

    @property
    def card(self) -> str:
        return _CARDS[self.credit["account"].partition(":")[0]]

    @property
    def exchange_rate(self) -> str:
        return next((row["rate"] for row in self.between if row["item"] == exchange.ITEM), "")


def rerated(book: Book, event: str) -> list[Posting]:
    """Lines that take the event from the rates it was posted by to those known now; none where they are the same."""
    stored = book.event(event)
    then = book.at(stored["happened_at"])
    lines: list[Posting] = []
    for group in _live(book, event):
        rate = then.rate(group.card, _narrowed(group, stored))
        if _differs(then, group, rate):
            to = _place(book, group.debit, event)
            lines += [_at(posting_of(group.debit).counter(""), to)]
            lines += [posting_of(row).counter(row["account"]) for row in (*group.between, group.credit)]
            lines += _anew(then, group, rate, _at(posting_of(group.debit), to), stored)
    lines += followed(book, lines)
    return lines + _shortfall(book, lines)


def _live(book: Book, event: str) -> list[Group]:
    """Groups of the event and its re-ratings, less those that a re-rating took back."""
    live: list[Group] = []
    for group in (group for id_ in (event, *book.reratings(event)) for group in _groups(book.lines_of(id_))):
        taken = _said(group.credit, -1)
        back = next((one for one in live if _said(one.credit, 1) == taken), None)
        if (group.credit["micro"] or group.credit["quantity"] or 0) < 0:
            live.append(group)
        elif back is not None:
            live.remove(back)
    return live


def _groups(rows: list[Row]) -> Iterator[Group]:
    for at, row in enumerate(rows):
        if row["account"].partition(":")[0] in _CARDS:
            first = at - 1
            while rows[first]["account"].startswith("exchange:"):
                first -= 1
            yield Group(rows[first], tuple(rows[first + 1 : at]), row)


def _said(credit: Row, sign: int) -> tuple[object, ...]:
    quantity = None if credit["quantity"] is None else sign * credit["quantity"]
    dimensions = ("account", "item", "run", "version", "endpoint", "rate", "currency", "unpriced")
    return (*(credit[name] for name in dimensions), sign * credit["micro"], quantity)


def _narrowed(group: Group, stored: Row) -> str:
    """The item as its rule asked for it."""
    item, payload = ELECTRICITY if group.card == EMISSIONS else str(group.credit["item"]), stored["payload"]
    if stored["kind"] == "compute.declared":
        return narrowed(item, payload["site"] if item == ELECTRICITY else payload["hardware"])
    if stored["kind"] == "hours.declared":
        return narrowed(item, payload["who"])
    return f"{item}:{group.credit['endpoint']}" if group.card == PRICE else item


def _differs(then: Book, group: Group, rate: Rate | None) -> bool:
    credit, new = group.credit, "" if rate is None else rate.id
    if (credit["rate"] or credit["unpriced"]) and new != (credit["rate"] or ""):
        return True
    if group.card != COST or credit["unpriced"]:
        return False
    foreign = then.rate(EXCHANGE, credit["currency"])
    return ("" if foreign is None else foreign.id) != group.exchange_rate


def _place(book: Book, debit: Row, event: str) -> Posting:
    """Where the value of a line stands by now."""
    account, run, version = debit["account"], debit["run"] or "", debit["version"] or ""
    if run and (account.startswith("assets:run:") or account == accounts.EXPERIMENTS):
        return of_run(run, book)
    if account.startswith("assets:model:"):
        version = book.taken_by(account, event) or ""
    if version and account.startswith("assets:"):
        return of_version(version, book, run=run)
    return posting_of(debit)


def _at(line: Posting, to: Posting) -> Posting:
    return replace(line, account=to.account, run=to.run, version=to.version, model=to.model or line.model)


def _anew(then: Book, group: Group, rate: Rate | None, line: Posting, stored: Row) -> list[Posting]:
    """The line priced again, as its rule would price it now."""
    credit = group.credit
    if group.card == EMISSIONS:
        kwh = next((row["quantity"] for row in then.lines_of(stored["id"]) if _is_energy(row, credit)), None)
        grams = None if kwh is None or rate is None else rate.grams(-kwh)
        return transfer(replace(line, rate=rate.id if rate else "", quantity=grams), credit["account"])
    if not credit["rate"] and not credit["unpriced"]:  # its event said what it cost: only the exchange is another
        line = replace(line, micro=-credit["micro"], currency=credit["currency"])
    else:
        before = then.standing(carrying(then, rate, line.account), line.item, rate, line.run or None)
        cost = price_more(rate, line.quantity, *before)
        line = replace(line, rate=cost.rate, micro=cost.micro, currency=cost.currency, unpriced=cost.unpriced)
    return transfer(line, credit["account"]) if group.card == PRICE else paid(then, line, credit["account"])


def _is_energy(row: Row, credit: Row) -> bool:
    return bool(row["item"] == ELECTRICITY and row["account"] == "inputs:energy" and row["run"] == credit["run"])


def _shortfall(book: Book, lines: list[Posting]) -> list[Posting]:
    """What cannot be taken back from an asset or a pool, as it was written down or spread since."""
    last = {held_by(line): line for line in lines if line.micro}
    return [
        line
        for held, micro in lacking(book, lines).items()
        for line in transfer(replace(last[held], micro=micro, quantity=0.0, rate="", error=None), accounts.RATE_CHANGES)
    ]
