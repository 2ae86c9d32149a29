"""What a tenant's own versions tell a forecast: what went into each, how good it became, and what it cost."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.books.forecast.question import Cost, Question
from gristmill.books.reports.scope import Quality, Scope
from gristmill.control.qualities import qualities
from gristmill.core.errors import NotFound, Unprocessable
from gristmill.core.forecasting import Input, parse_figure
from gristmill.core.money import MICRO, parse_money
from gristmill.registry import versions
from gristmill.registry.versions import Version

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]
ERROR = "error"
PEOPLE = Input.people.value
USUAL = tuple(one.value for one in Input if one != PEOPLE)
_LEAST_VALUES = 3
_ROWS, _PASSES = (0.125, 0.25, 0.5, 1.0), (0.5, 1.0, 2.0)  # of a planned run, over the most and the best so far
_COMPUTE = ("compute", "energy")


class Wanted(NamedTuple):
    """As it came in: `budget` 500USD, `target` accuracy=0.95, `at` rows=5000, `inputs` by name."""

    budget: str | None
    target: str | None
    at: tuple[str, ...]
    inputs: tuple[str, ...]


class Attempt(NamedTuple):
    """A version: what went into it (rows, parameters, passes, people) and the error that is left."""

    version: Version
    inputs: dict[str, float]
    error: float


class History(NamedTuple):
    question: Question
    attempts: tuple[Attempt, ...]
    metric: str
    notes: tuple[str, ...]


class Spending(NamedTuple):
    """What the books hold of versions and data, in units of one currency."""

    compute: dict[str, float]  # by version
    people: dict[str, float]
    hours: dict[str, float]
    row_price: float | None
    currency: str


def history(platform: Platform, tenant: str, model: str, wanted: Wanted) -> History:
    """Raises NotFound, Unprocessable with the reason why there is no forecast."""
    with platform.database.read() as connection:
        made = [one for one in versions.list_versions(connection, tenant) if one.model == model]
        if not made:
            raise NotFound(f"There is no model {model!r}: `gristmill models list` shows what there is.")
        tested = [one for one in qualities(connection, [tenant]) if one.version in {each.reference for each in made}]
        spending = _spending(Scope(connection, tenant, model=model), made)
    attempts = _attempts(made, tested, spending)
    if not attempts:
        raise Unprocessable(f"No version of {model!r} was trained here and tested: train some with other data.rows.")
    metric = next(one.metric for one in tested)
    names, notes = _inputs(model, attempts, wanted.inputs)
    columns: dict[str, list[float | None]] = {name: [one.inputs[name] for one in attempts] for name in names}
    question = Question(
        columns=columns | {ERROR: [one.error for one in attempts]},
        x=names, y=ERROR, at=dict(map(parse_figure, wanted.at)),
        costs=_costs(attempts, spending, names), currency=spending.currency,
        budget=_budget(wanted.budget, spending.currency), target=_target(wanted.target, tested[0]),
        candidates=_candidates(attempts, names),
    )  # fmt: skip
    return History(question, tuple(attempts), metric, tuple(notes))


def told(found: History, document: Document) -> Document:
    """The answer with its versions' names, its metric, and the recipes of the runs that it plans."""
    points = [
        point | {"version": attempt.version.reference}
        for point, attempt in zip(document["points"], found.attempts, strict=True)
    ]
    stops = "The forecast stops at quality per unit of money: what quality earns is not read from the books."
    notes = [*document.get("notes", ()), *found.notes, stops]
    more: Document = {"metric": found.metric, "points": points, "notes": notes}
    if "plan" in document:
        planned = enumerate(document["plan"]["runs"], 1 + _most_seed(found.attempts))
        runs = [run | {"recipe": _recipe(found.attempts, run["x"], seed)} for seed, run in planned]
        more["plan"] = document["plan"] | {"runs": runs}
    return document | more


def _attempts(made: Sequence[Version], tested: Sequence[Quality], spending: Spending) -> list[Attempt]:
    """A version without an error left (a perfect score) says nothing to a power law and is left out."""
    by_version = {one.version: one for one in tested}
    found = []
    for version in made:
        quality, rows = by_version.get(version.reference), version.metrics.get("train/rows")
        recipe = version.manifest.lineage.recipe
        if quality is None or not rows or recipe is None:
            continue
        training = recipe["training"]
        steps_a_pass = math.ceil(rows / (training["batch_size"] * training.get("accumulate", 1)))
        passes = version.metrics["train/steps"] / steps_a_pass
        error = 1 - quality.value if quality.higher_is_better else quality.value
        inputs = {"rows": rows, "parameters": float(version.manifest.parameters), "passes": passes,
                  PEOPLE: spending.hours.get(version.reference, 0.0)}  # fmt: skip
        if error > 0 and inputs["parameters"] > 0 and passes > 0:
            found.append(Attempt(version, inputs, error))
    return found


def _inputs(model: str, attempts: Sequence[Attempt], asked: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those that vary, and why others are none. Raises Unprocessable where an input that is asked for cannot be."""
    wanted = tuple(asked) or USUAL
    names, notes = [], []
    for name in wanted:
        if name not in tuple(Input):
            raise Unprocessable(f"There is no input {name!r}: there are {', '.join(Input)}.", field="inputs")
        values = {one.inputs[name] for one in attempts}
        if name == PEOPLE and (0.0 in values or len(values) < _LEAST_VALUES):
            raise Unprocessable(
                f"People are an input only from your own history: the books lack hours on each version of {model!r}, "
                f"of at least {_LEAST_VALUES} different values: declare them with `gristmill books hours`."
            )
        if len({round(value, 6) for value in values}) < _LEAST_VALUES:
            notes.append(f"{name} is no input here: the versions have fewer than {_LEAST_VALUES} values of it.")
        else:
            names.append(name)
    if not names:
        raise Unprocessable(
            f"The {len(attempts)} versions of {model!r} that were tested have fewer than {_LEAST_VALUES} values of "
            f"{', '.join(wanted)}: train some on a share of the rows with --set data.fraction=0.1."
        )
    return names, notes


def _spending(scope: Scope, made: Sequence[Version]) -> Spending:
    """In the currency in which most was spent."""
    by_currency: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
    hours: dict[str, float] = defaultdict(float)
    for row in scope.money(("version", "item"), "assets:version:", ever=True):
        kind = row["item"].partition(".")[0]
        kept = "compute" if kind in _COMPUTE else kind
        by_currency[row["currency"]][kept][row["version"]] += row["micro"] / MICRO
        hours[row["version"]] += row["quantity"] if kind == PEOPLE else 0.0
    currency = max(by_currency, key=lambda one: sum(map(_total, by_currency[one].values())), default="USD")
    kinds = by_currency[currency]
    return Spending(kinds["compute"], kinds[PEOPLE], hours, _row_price(scope, made, currency), currency)


def _row_price(scope: Scope, made: Sequence[Version], currency: str) -> float | None:
    """What a row of the versions' datasets cost; None where no data was paid for."""
    items = {f"data.{name}" for version in made for name in version.manifest.lineage.datasets}
    everywhere = scope._replace(model=None)
    rows = [row for row in everywhere.money(("item",), "inputs:data", ever=True) if row["item"] in items]
    paid = [row for row in rows if row["currency"] == currency and row["quantity"]]
    counted = sum(abs(row["quantity"]) for row in paid)
    return sum(abs(row["micro"]) for row in paid) / MICRO / counted if counted else None


def _costs(attempts: Sequence[Attempt], spending: Spending, names: Sequence[str]) -> list[Cost]:
    """Compute goes with rows × parameters × passes, as those of them that vary; data with rows; people with hours."""
    references = [one.version.reference for one in attempts]
    powers = {name: 1.0 for name in USUAL if name in names}
    costs = []
    spent = sum(spending.compute.get(one, 0.0) for one in references)
    if spent and powers:
        work = sum(math.prod(one.inputs[name] for name in powers) for one in attempts)
        costs.append(Cost("compute", spent / work, powers))
    if spending.row_price and "rows" in names:
        costs.append(Cost("data", spending.row_price, {"rows": 1.0}))
    if PEOPLE in names:
        paid, hours = (sum(by.get(one, 0.0) for one in references) for by in (spending.people, spending.hours))
        costs.append(Cost(PEOPLE, paid / hours, {PEOPLE: 1.0}))
    return costs


def _candidates(attempts: Sequence[Attempt], names: Sequence[str]) -> list[list[float]]:
    """Runs that a recipe can ask for: shares of the rows, sizes that were built, more or fewer passes."""
    best = min(attempts, key=lambda one: one.error).inputs
    most = max(one.inputs["rows"] for one in attempts)
    choices = {
        "rows": sorted({max(1.0, round(share * most)) for share in _ROWS}),
        "parameters": sorted({one.inputs["parameters"] for one in attempts}),
        "passes": sorted({max(1.0, round(share * best["passes"])) for share in _PASSES}),
        PEOPLE: [best[PEOPLE]],
    }
    return [list(row) for row in product(*(choices[name] for name in names))]


def _most_seed(attempts: Sequence[Attempt]) -> int:
    recipes = (one.version.manifest.lineage.recipe or {} for one in attempts)
    return max(int(recipe["training"]["seed"]) for recipe in recipes)


def _recipe(attempts: Sequence[Attempt], x: dict[str, float], seed: int) -> Document:
    """Of the version of the nearest size, with the planned rows and passes; a new seed makes it a new run."""
    size = x.get("parameters")
    nearest = min(attempts, key=lambda one: abs(one.inputs["parameters"] - size) if size else one.error)
    recipe: Document = dict(nearest.version.manifest.lineage.recipe or {})
    if "rows" in x:
        recipe["data"] = recipe["data"] | {"rows": max(1, round(x["rows"])), "fraction": None}
    recipe["training"] = recipe["training"] | {"seed": seed}
    if "passes" in x:
        recipe["training"] = recipe["training"] | {"epochs": max(1, round(x["passes"]))}
    return recipe


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
    return 1 - value if quality.higher_is_better else value


def _total(by: dict[str, float]) -> float:
    return sum(by.values())
