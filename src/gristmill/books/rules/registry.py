"""Which rule makes the postings of which kind of event: a new kind is one file and one line."""

from __future__ import annotations

from collections.abc import Callable

from gristmill.books.book import Book
from gristmill.books.events import Event
from gristmill.books.ledger import Posting
from gristmill.books.rules import (
    dataset_added,
    hours_declared,
    replica_used,
    run_used,
    units_estimated,
    usage_posted,
    version_made,
    version_retired,
)
from gristmill.core.errors import Unprocessable

Rule = Callable[[Event, Book], list[Posting]]

RULES: dict[str, Rule] = {
    "dataset.added": dataset_added.postings,
    "run.used": run_used.postings,
    "version.made": version_made.postings,
    "units.estimated": units_estimated.postings,
    "hours.declared": hours_declared.postings,
    "replica.used": replica_used.postings,
    "usage.posted": usage_posted.postings,
    "version.retired": version_retired.postings,
}


def rule_of(kind: str) -> Rule:
    """Raises Unprocessable for a kind that the books do not know."""
    if kind not in RULES:
        raise Unprocessable(f"The books know no event of kind {kind!r}: they know {', '.join(RULES)}.", got=kind)
    return RULES[kind]
