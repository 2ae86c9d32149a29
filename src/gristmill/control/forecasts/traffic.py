"""A tenant's own traffic as the optimum of training and serving takes it: tokens that a model computed for requests."""

from __future__ import annotations

from gristmill.books.records import Connection
from gristmill.books.reports.scope import Scope
from gristmill.core.errors import Unprocessable
from gristmill.core.periods import DAY_S

YEAR_S = 365 * DAY_S
_COMPUTED = ("prompt", "completion")  # what is read from a cache is not computed again


def served_tokens(connection: Connection, tenant: str, model: str, now: float) -> float:
    """Of the last 365 days, of all the model's versions. Raises Unprocessable where the books hold none."""
    scope = Scope(connection, tenant, model=model, since=now - YEAR_S)
    counted = scope.counts(("item",), "units:tokens:")
    total = sum(counted.get((item,), 0) for item in _COMPUTED)
    if not total:
        raise Unprocessable(
            f"The books hold no tokens that {model!r} served in the last 365 days: say --served-tokens instead.",
            field="served_by", got=model,
        )  # fmt: skip
    return float(total)
