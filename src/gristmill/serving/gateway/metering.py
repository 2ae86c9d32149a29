"""What each request used, on file before its answer leaves."""

from __future__ import annotations

import itertools
import logging
import time
from time import monotonic

from gristmill.core.errors import GristmillError, StorageFull
from gristmill.core.generation import TokenUsage
from gristmill.core.ids import new_id
from gristmill.core.routes import RouteEndpoint, RouteVersion
from gristmill.core.types import UsageRecord
from gristmill.serving.gateway.budgets.reservation import Reservation
from gristmill.serving.gateway.generation.stream import Stream
from gristmill.serving.gateway.work import Answer, Reply, Result, Work
from gristmill.serving.wire.messages import Answered, Computed, Ended
from gristmill.store.journal import Journal
from gristmill.tasks.text_embedding import TOKENS

_log = logging.getLogger(__name__)


class RecordIds:
    """Unique for ever at a fraction of a microsecond: one random id a process, then a counter."""

    def __init__(self) -> None:
        self._start = new_id("req")
        self._count = itertools.count(1)

    def next(self) -> str:
        return f"{self._start}{next(self._count):08x}"


class Meter:
    """Renders a batch's answers, appends its usage records in one write, then lets the answers go."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def settle(
        self,
        endpoint: RouteEndpoint,
        version: RouteVersion,
        replica: str,
        works: list[Work],
        results: list[Result | None],
        message: Computed | Answered,
        now: float,
    ) -> None:
        """`compute_us` of the batch is shared by rows; a request that nobody awaits any more is recorded too."""
        outcomes = [
            _rendered(version, work, result) if result is not None else message.faults[i].error()
            for i, (work, result) in enumerate(zip(works, results, strict=True))
        ]
        share = message.compute_us / (sum([work.rows for work in works]) or 1)
        wall = time.time()
        records = [
            _record(endpoint, version, work, outcome, round(share * work.rows), replica, now, wall, tokens_read(result))
            for work, outcome, result in zip(works, outcomes, results, strict=True)
        ]
        try:
            self._journal.append(records)
        except StorageFull:
            _log.warning("the usage journal has no room: %d answers are refused with 507", len(works))
            outcomes = [_unmetered()] * len(works)
        else:
            for work, record in zip(works, records, strict=True):
                if work.reservation is not None:
                    work.reservation.settle(record)
        for work, outcome in zip(works, outcomes, strict=True):
            if isinstance(outcome, Reply):
                work.succeed(Answer(outcome, version.model))
            else:
                work.fail(outcome, outcome.status)

    def settle_cached(
        self, endpoint: RouteEndpoint, version: RouteVersion, work: Work, result: Result, now: float
    ) -> Answer:
        """An answer that was kept: recorded as any other, with no compute. Raises the error of its rendering."""
        outcome = _rendered(version, work, result)
        record = _record(endpoint, version, work, outcome, 0, "", now, time.time(), tokens_read(result), cached=True)
        try:
            self._journal.append([record])
        except StorageFull:
            raise _unmetered() from None
        if work.reservation is not None:
            work.reservation.settle(record)
        if isinstance(outcome, Reply):
            return Answer(outcome, version.model)
        raise outcome

    def settle_stream(
        self,
        endpoint: RouteEndpoint,
        version: RouteVersion,
        replica: str,
        stream: Stream,
        ended: Ended | None,
        usage: TokenUsage,
        error: GristmillError | None,
    ) -> None:
        """A text that was generated, or as much of it as the client took; `ended` None where its worker died.

        Raises StorageFull.

        One that an adapter wrote is the adapter's: its version stands in the books.
        """
        by = stream.adapter or version
        sold = stream.sent > 0 or (error is None and not stream.ended)
        status = 200 if sold else stream.ended or (error.status if error is not None else 200)
        record = UsageRecord(
            stream.record_id, endpoint.tenant, stream.key.id, endpoint.name, by.model, by.digest,
            stream.operation, status, time.time(), stream.rows, ended.compute_us if ended else 0,
            int((monotonic() - stream.arrived_at) * 1e6), stream.bytes_in, stream.written, _tokens(usage), replica,
            first_token_us=_microseconds(stream.first_token_s),
            per_token_us=_microseconds(stream.per_token_s(ended.usage.completion if ended else stream.sent)),
            energy_uj=ended.energy_uj if ended else None,
            leases=_leases(stream.reservation),
        )  # fmt: skip
        try:
            self._journal.append([record])
        except StorageFull:
            if stream.reservation is not None:
                stream.reservation.release()
            raise _unmetered() from None
        if stream.reservation is not None:
            stream.reservation.settle(record)


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def tokens_read(result: Result | None) -> dict[str, int]:
    """Of an encoder of texts, which says how many it read of each."""
    if not isinstance(result, tuple):
        return {}
    read = next((output.values for output in result if output.name == TOKENS and output.dtype == "INT64"), None)
    return {} if read is None else {"prompt": int(read.sum())}


def _tokens(usage: TokenUsage) -> dict[str, int]:
    """Disjoint classes; those of which there are none are left out."""
    classes = {
        "prompt": usage.prompt - usage.cached,
        "cached": usage.cached,
        "completion": usage.completion - usage.reasoning,
        "reasoning": usage.reasoning,
    }
    return {name: max(count, 0) for name, count in classes.items() if count > 0}


def _record(
    endpoint: RouteEndpoint,
    version: RouteVersion,
    work: Work,
    outcome: Reply | GristmillError,
    compute_us: int,
    replica: str,
    now: float,
    wall: float,
    tokens: dict[str, int],
    cached: bool = False,
) -> UsageRecord:
    return UsageRecord(
        work.record_id,
        endpoint.tenant,
        work.key.id,
        endpoint.name,
        version.model,
        version.digest,
        work.operation,
        work.ended or outcome.status,
        wall,
        work.rows,
        compute_us,
        int((now - work.arrived_at) * 1e6),
        work.bytes_in,
        len(outcome.body) if isinstance(outcome, Reply) else 0,
        tokens,
        replica,
        cached,
        leases=_leases(work.reservation),
    )


def _leases(reservation: Reservation | None) -> tuple[str, ...]:
    return () if reservation is None else reservation.leases


def _unmetered() -> StorageFull:
    return StorageFull("The disk is full: this request cannot be metered, so it is refused; free some space.")


def _rendered(version: RouteVersion, work: Work, result: Result) -> Reply | GristmillError:
    try:
        return work.render(version, result)
    except GristmillError as error:
        return error
