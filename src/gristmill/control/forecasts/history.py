"""A question of a model's own versions: what went into each, how good it became, what it cost and earned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.books.forecast.question import Question
from gristmill.books.reports.quality_cost import point_of
from gristmill.books.reports.scope import Quality, Scope
from gristmill.control.forecasts.attempts import Attempt, attempts, error_of
from gristmill.control.forecasts.earnings import earned
from gristmill.control.forecasts.planning import candidates, planned
from gristmill.control.forecasts.searches import tried
from gristmill.control.forecasts.spending import costs, spending
from gristmill.control.qualities import qualities
from gristmill.core.errors import NotFound, Unprocessable
from gristmill.core.forecasting import OF_COMPUTE, PEOPLE, SEARCH, Input, parse_figure
from gristmill.core.money import MICRO, parse_money
from gristmill.registry import versions

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]
ERROR = "error"
_LEAST_VALUES = 3
_SHARE_RIGHT = "accuracy"


class Wanted(NamedTuple):
    """As it came in: `budget` 500USD, `target` accuracy=0.95, `at` rows=5000, `inputs` by name."""

    budget: str | None
    target: str | None
    at: tuple[str, ...]
    inputs: tuple[str, ...]


class History(NamedTuple):
    question: Question
    attempts: tuple[Attempt, ...]
    metric: str
    notes: tuple[str, ...]


def history(platform: Platform, tenant: str, model: str, wanted: Wanted) -> History:
    """Raises NotFound, Unprocessable with the reason why there is no forecast."""
    with platform.database.read() as connection:
        made = [one for one in versions.list_versions(connection, tenant) if one.model == model]
        if not made:
            raise NotFound(f"There is no model {model!r}: `gristmill models list` shows what there is.")
        references = {one.reference for one in made}
        tested = [one for one in qualities(connection, [tenant]) if one.version in references]
        scope = Scope(connection, tenant, model=model)
        spent = spending(scope, made)
        earning = earned(scope, tested, spent.currency)
    found = attempts(made, tested, spent.hours)
    if not found:
        raise Unprocessable(f"No version of {model!r} was trained here and tested: train some with other data.rows.")
    names, notes = _inputs(model, found, wanted.inputs)
    perfect = sum(1 for one in tested if error_of(one) <= 0)
    if perfect:
        notes.append(f"{perfect} versions are left out: they have no error left, and a power law never gets there.")
    of_search = None
    if SEARCH in wanted.inputs or not wanted.inputs:
        of_search, lacking = tried(found, spent.compute, bool(wanted.at))
        notes += lacking
    columns: dict[str, list[float | None]] = {name: [one.inputs[name] for one in found] for name in names}
    question = Question(
        columns=columns | {ERROR: [one.error for one in found]},
        x=names, y=ERROR, at=dict(map(parse_figure, wanted.at)),
        costs=costs(found, spent, names), currency=spent.currency,
        budget=_budget(wanted.budget, spent.currency), target=_target(wanted.target, tested[0]),
        tested=_tested(found, tested[0].metric), candidates=candidates(found, names), tried=of_search,
        point=point_of(tested[0].metric), earned=earning,
    )  # fmt: skip
    return History(question, tuple(found), tested[0].metric, tuple(notes))


def told(found: History, document: Document) -> Document:
    """The answer with its versions' names, its metric, and the recipes of the runs that it plans."""
    points = [
        point | {"version": attempt.version.reference}
        for point, attempt in zip(document["points"], found.attempts, strict=True)
    ]
    more: Document = {"metric": found.metric, "points": points, "notes": [*document.get("notes", ()), *found.notes]}
    if "plan" in document:
        more["plan"] = planned(found.attempts, document["plan"])
    return document | more


def _inputs(model: str, found: Sequence[Attempt], asked: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of the law that vary, and why others are none. Raises Unprocessable where one asked for cannot be."""
    wanted = tuple(asked) or OF_COMPUTE
    names, notes = [], []
    for name in wanted:
        if name not in tuple(Input):
            raise Unprocessable(f"There is no input {name!r}: there are {', '.join(Input)}.", field="inputs")
        if name == SEARCH:
            continue
        values = {round(one.inputs[name], 6) for one in found}
        if name == PEOPLE and (0.0 in values or len(values) < _LEAST_VALUES):
            raise Unprocessable(
                f"People are an input only from your own history: the books lack hours on each version of {model!r}, "
                f"of at least {_LEAST_VALUES} different values: declare them with `gristmill books hours`."
            )
        if len(values) < _LEAST_VALUES:
            notes.append(f"{name} is no input here: the versions have fewer than {_LEAST_VALUES} values of it.")
        else:
            names.append(name)
    if not names and set(wanted) == {SEARCH}:
        raise Unprocessable("Search is weighed against other inputs: ask for one of them too, as with rows.")
    if not names:
        raise Unprocessable(
            f"{', '.join(wanted).capitalize()} have fewer than {_LEAST_VALUES} values each among the tested versions "
            f"({len(found)}) of {model!r}: train some on a share of the rows with --set data.fraction=0.1."
        )
    return names, notes


def _tested(found: Sequence[Attempt], metric: str) -> float | None:
    """Rows that every version was tested on, where the error is a share of them."""
    counts = {one.version.metrics.get("tested/rows", 0.0) for one in found}
    return min(counts) or None if metric == _SHARE_RIGHT else None


def _budget(text: str | None, currency: str) -> float | None:
    if text is None:
        return None
    money = parse_money(text)
    if money.currency != currency:
        raise Unprocessable(f"The books are in {currency}: say the budget in {currency}, not in {money.currency}.")
    return money.micro / MICRO


def _target(text: str | None, quality: Quality) -> float | None:
    """`accuracy=0.95` → an error of 0.05."""
    if text is None:
        return None
    name, value = parse_figure(text)
    if name != quality.metric:
        raise Unprocessable(f"The versions are tested by {quality.metric}: say the target as {quality.metric}=VALUE.")
    return error_of(quality._replace(value=value))
