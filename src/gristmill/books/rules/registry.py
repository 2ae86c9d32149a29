"""Which rule makes the postings of which kind of event: a new kind is one file and one line."""

from __future__ import annotations

from collections.abc import Callable

from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting
from gristmill.books.rules import (
    capacity_idle,
    compute_declared,
    cost_allocated,
    cost_inherited,
    data_paid,
    dataset_added,
    experiment_capitalised,
    hardware_used,
    hours_declared,
    replica_used,
    rerated,
    run_used,
    service_bought,
    storage_used,
    units_estimated,
    usage_posted,
    version_made,
    version_retired,
    write_down_chosen,
    write_down_due,
)
from gristmill.core.errors import Unprocessable

Rule = Callable[[Event, Book], list[Posting]]

RULES: dict[str, Rule] = {
    "dataset.added": dataset_added.postings,
    "data.paid": data_paid.postings,
    "run.used": run_used.postings,
    "version.made": version_made.postings,
    "experiment.capitalised": experiment_capitalised.postings,
    "cost.inherited": cost_inherited.postings,
    "cost.allocated": cost_allocated.postings,
    "units.estimated": units_estimated.postings,
    "write-down.chosen": write_down_chosen.postings,
    "write-down.due": write_down_due.postings,
    "compute.declared": compute_declared.postings,
    "hardware.used": hardware_used.postings,
    "hours.declared": hours_declared.postings,
    "service.bought": service_bought.postings,
    "storage.used": storage_used.postings,
    "replica.used": replica_used.postings,
    "capacity.idle": capacity_idle.postings,
    "usage.posted": usage_posted.postings,
    "version.retired": version_retired.postings,
    "rerated": rerated.postings,
}


def rule_of(kind: str) -> Rule:
    """Raises Unprocessable for a kind that the books do not know."""
    if kind not in RULES:
        raise Unprocessable(f"The books know no event of kind {kind!r}: they know {', '.join(RULES)}.", got=kind)
    return RULES[kind]
