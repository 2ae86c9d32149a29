"""What a forecast is asked: runs as columns of numbers, what they cost, and what is wanted of them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from gristmill.books.forecast.costs import CostTerm
from gristmill.books.forecast.search import Tried
from gristmill.core.errors import TooLarge, Unprocessable

MOST_RUNS = 5_000


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`price` units of money for each Π input^power: {"N": 1, "D": 1} at 6 FLOP's price is training's compute."""

    name: str
    price: float
    powers: dict[str, float]


class Earned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money a day on the `days` on which a version with this `error` answered nearly all requests of its model."""

    version: str
    error: float
    per_day: float
    days: int


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`y` is lower the better. `at`: where from, and where the loss is forecast (the run of the lowest loss)."""

    columns: dict[str, list[float | None]]
    x: list[str]
    y: str
    at: dict[str, float] = {}
    costs: list[Cost] = []
    currency: str = "USD"
    budget: float | None = None  # units of `currency`
    target: float | None = None  # of y
    tested: float | None = None  # rows, of which y is the share that is wrong: its noise is then known
    unique: str | None = None  # column of unique rows, where a column of rows seen counts repeats too
    seen: str | None = None  # that column: an input
    served_tokens: float | None = None  # by the two inputs N (parameters) and D (tokens), in this order
    candidates: list[list[float]] = []  # runs that a plan may choose from, in the order of `x`
    tried: Tried | None = None  # runs that differ in seed and searched fields alone: search is an input too
    point: float | None = None  # of y: what it earns a day is asked for, from what versions `earned`
    earned: list[Earned] = []

    def inputs(self) -> np.ndarray:
        """[runs, inputs]. Raises Unprocessable naming the column."""
        return np.column_stack([self._column(name) for name in self.x])

    def losses(self) -> np.ndarray:
        """[runs]. Raises Unprocessable naming the column."""
        return self._column(self.y)

    def uniques(self) -> np.ndarray:
        """[runs] of the column `unique`. Raises Unprocessable naming the column."""
        return self._column(self.unique or "")

    def terms(self) -> list[CostTerm]:
        """Raises Unprocessable for a price that is none, or of what is no input."""
        for cost in self.costs:
            self._known(cost.powers, f"The cost {cost.name!r}")
            if not (np.isfinite(cost.price) and cost.price >= 0):
                raise Unprocessable(
                    f"The price of {cost.name!r} should be a finite number of 0 or more.", field="costs"
                )
        return [
            CostTerm(cost.name, cost.price, tuple(cost.powers.get(name, 0.0) for name in self.x)) for cost in self.costs
        ]

    def place(self) -> np.ndarray:
        """[inputs]: `at`, and where it says nothing the run of the lowest loss."""
        self._known(self.at, "`at`")
        best = self.inputs()[int(np.argmin(self.losses()))]
        place = np.asarray([self.at.get(name, best[column]) for column, name in enumerate(self.x)])
        if not (np.isfinite(place).all() and (place > 0).all()):
            raise Unprocessable("`at` should hold finite numbers above zero.", field="at")
        return place

    def check(self) -> None:
        """Raises Unprocessable with the first thing that is wrong, TooLarge."""
        if not self.x or len(set(self.x)) != len(self.x) or self.y in self.x:
            raise Unprocessable("A forecast needs inputs (x) that differ from each other and from the loss (y).")
        lengths = {len(values) for values in self.columns.values()}
        if len(lengths) > 1:
            raise Unprocessable("The columns are not of one length: every run has a value in each.", field="columns")
        if max(lengths, default=0) > MOST_RUNS:
            raise TooLarge(f"A forecast takes at most {MOST_RUNS} runs, and {max(lengths)} came.")
        amounts = (("budget", self.budget), ("served_tokens", self.served_tokens), ("tested", self.tested))
        for name, value in amounts:
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise Unprocessable(f"The {name} should be a finite number of 0 or more.", field=name)
        if self.tried is not None and not (len(self.tried.errors) and min(self.tried.errors) > 0 < self.tried.cost):
            raise Unprocessable("Search needs errors above 0 and what one more run costs.", field="tried")
        if self.point is not None and not self.point > 0:
            raise Unprocessable("A point of quality should be more than 0.", field="point")
        if self.target is not None and not (np.isfinite(self.target) and self.target > 0):
            raise Unprocessable("The target should be a finite loss above 0.", field="target")

    def _column(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise Unprocessable(
                f"There is no column {name!r}: there are {', '.join(self.columns) or 'none'}.",
                field=name, expected=list(self.columns),
            )  # fmt: skip
        values = np.asarray(self.columns[name], np.float64)
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            raise Unprocessable(
                f"Run {wrong[0] + 1} has {self.columns[name][wrong[0]]} in {name!r}: a finite number above zero is "
                "needed; correct it or leave the run out.", field=name,
            )  # fmt: skip
        return values

    def _known(self, names: Iterable[str], what: str) -> None:
        for name in names:
            if name not in self.x:
                raise Unprocessable(f"{what} names {name!r}, which is no input: inputs are {', '.join(self.x)}.")
