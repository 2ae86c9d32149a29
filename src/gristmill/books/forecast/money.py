"""What an answer says of money: returns, what a budget buys, what quality earns, and the plan that would decide."""

from __future__ import annotations

from typing import Any

import numpy as np

from gristmill.books.forecast.costs import CostTerm, cost
from gristmill.books.forecast.earnings import earnings, slopes
from gristmill.books.forecast.plan import around, plan
from gristmill.books.forecast.question import Question
from gristmill.books.forecast.returns import Returns, marginal_returns, spend
from gristmill.books.forecast.scaling import Fit
from gristmill.books.forecast.search import SEARCH, bests

Document = dict[str, Any]
_TAILS = (0.025, 0.975)


def money(question: Question, fit: Fit, place: np.ndarray) -> Document:
    """At `place` [inputs]; without prices the reason why there is nothing to say of money."""
    terms = question.terms()
    if not terms:
        return {"notes": ["No prices are known, so that returns on money are not: give costs."]}
    found = marginal_returns(fit, terms, place, question.tried)
    spent = [] if question.budget is None else spend(fit, terms, place, question.budget, question.tried)
    document: Document = {
        "currency": question.currency,
        "cost": float(cost(terms, place)),
        "returns": [one._asdict() for one in found.returns],
        "best": found.best,
        "verdict": _verdict(question, [one.input for one in found.returns], found.best),
        "notes": [],
    }
    if question.tried is not None:
        document["search"] = [one._asdict() for one in bests(question.tried, len(fit.draws))]
    if question.budget is not None:
        document["spent"] = [one._asdict() for one in spent]
    if question.point is not None:
        _add_earnings(document, question, question.point, found, float(fit.law.at(place)))
    if found.best is None:
        _add_plan(document, question, fit, terms, place, found)
    return document


def _add_earnings(document: Document, question: Question, point: float, found: Returns, here: float) -> None:
    """From quality to money, where the books show the relation; otherwise the sentence that says why not."""
    shown = earnings(question.earned, point)
    document["earnings"] = shown._asdict() | {"currency": question.currency}
    if shown.refused is not None or shown.value is None:
        document["notes"].append(f"The forecast stops at quality per unit of money: {shown.refused}.")
        return
    worth = shown.value / point
    draws = found.draws * slopes(question.earned, len(found.draws))[:, None]
    lows, highs = np.quantile(draws, _TAILS, axis=0)
    for one, low, high in zip(document["returns"], lows, highs, strict=True):
        one["earns"] = {"value": one["value"] * worth, "low": float(low), "high": float(high)}
    for one in document.get("spent", ()):
        one["earns"] = (here - one["loss"]) * worth


def _add_plan(
    document: Document, question: Question, fit: Fit, terms: list[CostTerm], place: np.ndarray, found: Returns
) -> None:
    first, second = (one.input for one in found.returns[:2])
    if SEARCH in (first, second):
        return
    candidates = np.asarray(question.candidates) if question.candidates else around(place)
    planned = plan(fit, terms, place, (first, second), candidates)
    document["plan"] = planned._asdict() | {"runs": [run._asdict() for run in planned.runs]}


def _verdict(question: Question, ranked: list[str], best: str | None) -> str:
    if len(ranked) == 1:
        return f"{ranked[0]} is the only input with a price."
    if best is None:
        more = "; more runs of the best recipe with other seeds would tell more" if SEARCH in ranked[:2] else ""
        return f"Undecided between {ranked[0]} and {ranked[1]}: their intervals overlap{more}."
    return f"The next {question.currency} pays best in {best}."
