"""Which of the waiting works make the next batch. Work-conserving: whoever waits goes, nobody waits for company."""

from __future__ import annotations

from typing import NamedTuple

from gristmill.serving.gateway.admission import FairQueue
from gristmill.serving.gateway.cost import CostModel
from gristmill.serving.gateway.work import ExplainJob, Work


class Formed(NamedTuple):
    batch: list[Work]
    rows: int
    late: list[Work]  # can no longer make their deadline: not to be computed


def form(queue: FairQueue[Work], max_rows: int, cost: CostModel, now: float, *, by_length: bool = False) -> Formed:
    """Take works off the queue up to `max_rows` rows, as many as meet every deadline among them by the cost model.

    A work with more rows than `max_rows` is a batch of its own, and so is an explanation. `by_length`: texts of like
    length go together, since a batch is padded to its longest.
    """
    batch: list[Work] = []
    late: list[Work] = []
    rows, soonest = 0, float("inf")
    while (work := queue.peek()) is not None:
        if work.ended or work.future.done():
            queue.pop()
            continue
        if now + cost.seconds(work.rows) > work.deadline and cost.seen:
            late.append(queue.pop())
            continue
        if batch and not _fits(batch[0], work, rows, max_rows, by_length):
            break
        if batch and now + cost.seconds(rows + work.rows) > min(soonest, work.deadline):
            break
        batch.append(queue.pop())
        rows += work.rows
        soonest = min(soonest, work.deadline)
        if rows >= max_rows or type(work.job) is ExplainJob:
            break
    return Formed(batch, rows, late)


def _fits(first: Work, work: Work, rows: int, max_rows: int, by_length: bool) -> bool:
    if rows + work.rows > max_rows or work.group != first.group or type(work.job) is ExplainJob:
        return False
    # A factor of two in length wastes at most half of a row's padding; finer classes make batches too small.
    return not by_length or max(first.size, work.size) <= 2 * min(first.size, work.size) + 64
