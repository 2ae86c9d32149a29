"""The answer to a forecast's question as a document: every figure with its interval, and sentences beside them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gristmill.books.forecast import compute, learning_curve, misfit, scaling
from gristmill.books.forecast.direction import check_falls
from gristmill.books.forecast.money import money
from gristmill.books.forecast.question import Question
from gristmill.books.forecast.reach import reach
from gristmill.books.forecast.repeats import repeats, worth
from gristmill.books.forecast.scaling import Fit
from gristmill.core.errors import Unprocessable

Document = dict[str, Any]
_NO_EXPONENT = 1e-3
_NO_FLOOR = 1e-6  # of the lowest loss
_TAILS = (0.025, 0.975)
_UNIT = re.compile(r"[\s_(\[](k|m|b|g|t|thousands?|millions?|billions?|trillions?)[)\]]?$", re.IGNORECASE)
_UNIT_NOTE = "{name} is taken in the unit that its name tells: coefficients, prices and `at` are in that unit too."
_FEWEST = 1000  # parameters or tokens of a language model


def answer(question: Question) -> Document:
    """Raises Unprocessable with the one reason why there is no forecast."""
    question.check()
    x, loss, place = question.inputs(), question.losses(), question.place()
    check_falls(question.x, x, question.y, loss)
    document: Document = {"inputs": question.x, "y": question.y, "runs": len(loss), "at": _named(question, place)}
    notes: list[str] = []
    notes += [_UNIT_NOTE.format(name=name) for name in question.x if _UNIT.search(name)]
    if question.unique is not None:
        x = _worth(question, x, loss, document, notes)
    if len(question.x) == 1:
        document["curve"] = _curve(x[:, 0], loss, float(place[0]), question.tested)
        lacking = _lacking(question, x, loss)
        if lacking is not None:
            return document | {"points": _points(question, x, loss, None), "notes": [*notes, lacking]}
    fit = scaling.fit(question.x, x, loss)
    bent = misfit.pattern(fit, x)
    notes += [] if bent is None else [misfit.said(bent)]
    document |= {"law": _law(fit, float(loss.min())) | {"pattern": bent}, "points": _points(question, x, loss, fit)}
    if "curve" not in document:
        document["forecast"] = _forecast(fit, place)
    if question.target is not None:
        document["reach"] = _reach(fit, place, question.target, bent)
    if question.served_tokens is not None:
        document["optimum"] = _optimum(question, fit, place)
    document |= money(question, fit, place)
    return document | {"notes": [*notes, *document["notes"], *_without_effect(fit)]}


def _lacking(question: Question, x: np.ndarray, loss: np.ndarray) -> str | None:
    """Why there is no law beside the curve of a single input, unless a figure was asked for that needs one."""
    try:
        scaling.check(question.x, x, loss)
    except Unprocessable as error:
        if question.target is not None or question.budget is not None:
            raise
        return error.message
    return None


def _worth(question: Question, x: np.ndarray, loss: np.ndarray, document: Document, notes: list[str]) -> np.ndarray:
    """Rows seen become what they are worth where they repeat fewer unique ones; `at` is taken as unique rows."""
    seen = question.seen or question.x[-1]
    if seen not in question.x:
        raise Unprocessable(f"Repeats are counted in {seen!r}, which is no input.", field="seen")
    column, unique = question.x.index(seen), question.uniques()
    found = repeats(question.x, x, column, unique, loss)
    if found.refused is not None:
        notes.append(f"R* of rows seen again is assumed to be {found.r_star:g}, as published: {found.refused}.")
    most = float((x[:, column] / np.minimum(unique, x[:, column])).max() - 1)
    document["repeated"] = {"input": seen, "most_repeats": most, **found._asdict()}
    return worth(x, column, unique, found.r_star)


def _curve(x: np.ndarray, loss: np.ndarray, at: float, tested: float | None) -> Document:
    return learning_curve.forecast(x, loss, at, tested).document()


def _law(fit: Fit, lowest: float) -> Document:
    figures = np.asarray([fit.law.vector, *fit.interval()])
    figures[:, 0] = np.where(figures[:, 0] < _NO_FLOOR * lowest, 0.0, figures[:, 0])
    ranges = [dict(zip(("value", "low", "high"), map(float, column), strict=True)) for column in figures.T]
    terms = [
        {"input": name, "coefficient": ranges[1 + 2 * place], "exponent": ranges[2 + 2 * place]}
        for place, name in enumerate(fit.law.inputs)
    ]
    spread = float(np.sqrt(np.mean(fit.residuals**2)))
    law: Document = {"floor": ranges[0], "terms": terms, "residual": spread, "objective": fit.objective}
    return law | ({"optimal": _optimal(fit)} if len(terms) == 2 else {})


def _optimal(fit: Fit) -> list[Document]:
    """For the least loss each input grows with this power of their product: of C = 6·N·D as N^a, a = β / (α + β).

    Hoffmann et al. (2022), equation 4.
    """
    middle = np.asarray(fit.law.exponents)[::-1] / sum(fit.law.exponents)
    draws = fit.draws[:, [4, 2]] / np.maximum(fit.draws[:, [2, 4]].sum(axis=1, keepdims=True), _NO_EXPONENT)
    lows, highs = np.quantile(draws, _TAILS, axis=0)
    return [
        {"input": name, "exponent": {"value": float(value), "low": float(low), "high": float(high)}}
        for name, value, low, high in zip(fit.law.inputs, middle, lows, highs, strict=True)
    ]


def _without_effect(fit: Fit) -> list[str]:
    """Inputs whose exponent may as well be zero or less: these runs do not show that more of them helps."""
    lows = fit.interval()[0, 2::2]
    return [
        f"These runs do not show that more {name} lowers the loss: its exponent may be 0."
        for name, low, middle in zip(fit.law.inputs, lows, fit.law.exponents, strict=True)
        if low < _NO_EXPONENT or middle < _NO_EXPONENT
    ]


def _forecast(fit: Fit, place: np.ndarray) -> Document:
    """Of one run: what the law may be there, and how runs spread about it."""
    random = np.random.default_rng(0)
    runs = fit.at(place) * np.exp(random.choice(fit.residuals, len(fit.draws)))
    low, high = np.quantile(runs, _TAILS)
    return {"value": float(fit.law.at(place)), "low": float(low), "high": float(high)}


def _optimum(question: Question, fit: Fit, place: np.ndarray) -> Document:
    """For the compute of a run at `place` with its serving, and for the target where there is one."""
    if len(question.x) != 2:
        raise Unprocessable("The optimum of training and serving needs two inputs: parameters and tokens.", field="x")
    if place.min() < _FEWEST or any(map(_UNIT.search, question.x)):
        raise Unprocessable(
            f"The optimum counts FLOP from single parameters and tokens, and {' and '.join(question.x)} seem to be in "
            "thousands, millions or billions: write the columns out, as 70M or 7e7.", field="x",
        )  # fmt: skip
    tokens = question.served_tokens or 0.0
    flop = place[0] * (compute.TRAINING_FLOP * place[1] + compute.SERVING_FLOP * tokens)
    found = {"for_compute": compute.best_for_compute(fit.law, float(flop), tokens)._asdict()}
    if question.target is not None:
        found["for_target"] = compute.cheapest_for_loss(fit.law, question.target, tokens)._asdict()
    return {"served_tokens": tokens, **found}


def _reach(fit: Fit, place: np.ndarray, target: float, bent: float | None) -> list[Document]:
    """Raises Unprocessable where the floor is above the target; of a law without the runs' shape that proves little."""
    try:
        return [one._asdict() for one in reach(fit, place, target)]
    except Unprocessable as error:
        raise (
            error if bent is None else Unprocessable(f"{error.message} {misfit.said(bent)}", **error.details)
        ) from None


def _points(question: Question, x: np.ndarray, loss: np.ndarray, fit: Fit | None) -> list[Document]:
    fitted = [None] * len(loss) if fit is None else fit.law.at(x).tolist()
    return [
        _named(question, row) | {question.y: float(value), "fitted": expected}
        for row, value, expected in zip(x, loss, fitted, strict=True)
    ]


def _named(question: Question, row: np.ndarray) -> dict[str, float]:
    return dict(zip(question.x, map(float, row), strict=True))
