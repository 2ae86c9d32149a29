"""Lines that write a version's asset down: by what it served, or by the time that has passed."""

from __future__ import annotations

from gristmill.books import accounts
from gristmill.books.amortization import Method, economic_decay, straight_line, write_down
from gristmill.books.book import Asset, Book
from gristmill.books.ledger import Posting, memorandum, transfer

AMORTISATION = "amortisation"


def by_units(book: Book, version: str, units: int, endpoint: str) -> list[Posting]:
    """Units of production, by currency (a version may have been paid for in several); nothing by another method."""
    asset = book.asset(version)
    if asset.method != Method.units_of_production:
        return []
    lines: list[Posting] = []
    for currency, value in asset.left.items():
        amount = write_down(value, units, asset.expected, asset.served)
        lines += _written(version, amount, currency, float(units), "prediction", endpoint)
    return lines


def by_time(book: Book, version: str, until: int) -> list[Posting]:
    """What is due from the last time until `until`; nothing by units of production, nor for a time told already."""
    asset = book.asset(version)
    passed = until - asset.written_until
    if asset.method == Method.units_of_production or passed <= 0:
        return []
    lines = [_clock(version, passed)]
    for currency, value in asset.left.items():
        lines += _written(version, _due(asset, value, until), currency, float(passed), "second", "")
    return lines


def chosen(book: Book, version: str, method: Method, parameter: int, at: int) -> list[Posting]:
    """From `at` on the version is written down by `method`: `parameter` is the moment its life ends (straight line)
    or its half-life in seconds (economic decay). What was due by the method before is written down first."""
    account, asset = accounts.write_down(version), book.asset(version)
    lines = by_time(book, version, at)
    told = asset.written_until + sum(line.quantity or 0 for line in lines if line.unit == "clock_second")
    for row in book.sums(("item", "unit"), account):
        lines.append(_policy(account, version, row["item"], -row["quantity"], row["unit"]))
    lines.append(_policy(account, version, method, float(parameter), "parameter"))
    return [*lines, _clock(version, max(0, at - int(told)))]  # the clock never goes back


def _due(asset: Asset, value: int, until: int) -> int:
    if asset.method == Method.straight_line:
        return straight_line(value, asset.written_until, until, asset.parameter)
    return economic_decay(value, until - asset.written_until, asset.parameter)


def _written(version: str, amount: int, currency: str, units: float, unit: str, endpoint: str) -> list[Posting]:
    if not amount:
        return []
    line = Posting(account=accounts.served(version), micro=amount, currency=currency, quantity=units, unit=unit,
                   item=AMORTISATION, model=_model(version), version=version, endpoint=endpoint)  # fmt: skip
    return transfer(line, accounts.amortised(version))


def _policy(account: str, version: str, method: str, quantity: float, unit: str) -> Posting:
    return memorandum(account, quantity, unit, item=method, model=_model(version), version=version)


def _clock(version: str, seconds: int) -> Posting:
    account = accounts.written_until(version)
    return memorandum(account, float(seconds), "clock_second", model=_model(version), version=version)


def _model(version: str) -> str:
    return version.partition("@")[0]
