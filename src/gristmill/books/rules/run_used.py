"""One attempt of a run used its grant: into the run's asset, the version it made, or the experiments' expense."""

from __future__ import annotations

import msgspec

from gristmill.books import accounts
from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.inputs import Stretch, energy, machine
from gristmill.books.ledger import Posting
from gristmill.books.moving import moved
from gristmill.books.rules.payload import read
from gristmill.core.types import Resources, ResourceUse, RunKind, RunState

_MAKING = {RunKind.train, RunKind.optimize, RunKind.search, RunKind.import_}
_GIVEN_UP = {RunState.failed, RunState.cancelled}


class RunUsed(msgspec.Struct, frozen=True):
    run: str
    kind: RunKind
    attempt: int
    state: str
    resources: Resources
    use: ResourceUse
    model: str | None = None


def postings(event: Event, book: Book) -> list[Posting]:
    """Costs max(granted, used); what of the grant was not used is the run's idle."""
    said = read(event, RunUsed)
    account, version = _account(said, book)
    used = Posting(account=account, run=said.run, model=said.model or "", version=version or "")
    stretch = Stretch(book, used, accounts.idle_run(said.run))
    use = said.use
    lines = machine(stretch, said.resources, use.wall_s, use.cpu_s, use.peak_memory_bytes, use.gpu_s)
    lines += energy(book, used, use.energy)
    return lines + (_earlier_attempts(said, book) if account == accounts.EXPERIMENTS else [])


def _account(said: RunUsed, book: Book) -> tuple[str, str | None]:
    if said.kind not in _MAKING:
        return accounts.EVALUATIONS, None
    version = book.version_of(said.run)
    if version is not None:
        return (accounts.MAINTENANCE if book.retired(version) else accounts.version_asset(version)), version
    return (accounts.EXPERIMENTS if said.state in _GIVEN_UP else accounts.run_asset(said.run)), None


def _earlier_attempts(said: RunUsed, book: Book) -> list[Posting]:
    """What earlier attempts left in the run's asset is given up with it; a version made later takes it back."""
    return moved(book, accounts.run_asset(said.run), accounts.EXPERIMENTS, run=said.run, model=said.model or "")
