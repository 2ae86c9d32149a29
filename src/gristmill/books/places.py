"""Where an input goes: `run:ID`, `model:NAME`, `version:NAME@N`, `dataset:NAME@N`, or `shared:POOL`."""

from __future__ import annotations

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.ledger import Posting
from gristmill.core.errors import Unprocessable

TEAM = "team"  # a pool: what is done for all


def place(on: str, book: Book, what: str) -> Posting:
    """A line without amounts on the account of `on`. Raises Unprocessable for what is no place."""
    kind, _, name = on.partition(":")
    if kind == "run" and name:
        return of_run(name, book)
    if kind == "model" and name:
        return Posting(account=accounts.model_asset(name), model=name)
    if kind == "version" and "@" in name:
        return of_version(name, book)
    if kind == "dataset" and "@" in name:
        return Posting(account=accounts.dataset_asset(name))
    if kind == "shared" and name:
        return Posting(account=accounts.shared(name))
    raise Unprocessable(
        f"{what} on {on!r} have no place: name run:ID, model:NAME, version:NAME@N, dataset:NAME@N or {TEAM}.",
        field="on", got=on,
    )  # fmt: skip


def of_run(run: str, book: Book) -> Posting:
    """Where the run's inputs stand by now: in the version it made, with the experiments, or in the making."""
    version = book.version_of(run)
    if version is not None:
        return of_version(version, book, run=run)
    account = accounts.EXPERIMENTS if book.expensed(run) else accounts.run_asset(run)
    return Posting(account=account, run=run)


def of_version(version: str, book: Book, run: str = "") -> Posting:
    """Its asset; of a retired version, maintenance."""
    account = accounts.MAINTENANCE if book.retired(version) else accounts.version_asset(version)
    return Posting(account=account, version=version, model=version.partition("@")[0], run=run)
