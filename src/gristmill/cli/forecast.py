"""`gristmill forecast`: where does the next unit of money pay best: more data, more compute, a bigger model?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from gristmill.cli import forecast_table
from gristmill.cli.arguments import checked
from gristmill.cli.connection import connect
from gristmill.cli.forecast_formulas import label
from gristmill.cli.forecast_views import forecast_view
from gristmill.cli.output import AsJson, show
from gristmill.client.sync import Client
from gristmill.core.errors import Unprocessable
from gristmill.core.forecasting import Input, parse_figure
from gristmill.core.money import MICRO, parse_money


def forecast(
    model: Annotated[str | None, typer.Argument(help="The model, from its own versions and your books.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="What one more budget buys, as in 500USD.", parser=checked(parse_money))
    ] = None,
    target: Annotated[str | None, typer.Option(help="What a quality takes: accuracy=0.95, or a loss of a CSV.")] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="Forecast there, as in rows=5000; from the best run on.",
            parser=checked(parse_figure),
        ),
    ] = None,
    inputs: Annotated[
        list[Input] | None,
        typer.Option(help="An input: rows, parameters, passes, search, people; all but people otherwise."),
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="Write the recipes of the runs that would decide here.")] = None,
    data: Annotated[
        Path | None, typer.Option("--csv", exists=True, dir_okay=False, help="Runs from elsewhere, one a line.")
    ] = None,
    x: Annotated[
        str | None, typer.Option(help="Columns of the inputs, as in N,D, or formulas of columns: N,D=C/(6*N).")
    ] = None,
    y: Annotated[str | None, typer.Option(help="Column of the loss, or a formula: 1-accuracy.")] = None,
    cost: Annotated[
        list[str] | None, typer.Option(help="A price of an input or of a product of them: N*D=6e-17.")
    ] = None,
    unique: Annotated[
        str | None, typer.Option(help="Column of the unique rows, where the last input of --x counts repeats too.")
    ] = None,
    served_tokens: Annotated[
        float | None, typer.Option(min=0, help="Tokens to be served, for the optimum of --x parameters,tokens.")
    ] = None,
    served_by: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The same from the books: what this model served in a year.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw fit and residuals into this .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast a model from its own versions, or any runs from a CSV with --x and --y."""
    form = None if picture is None else _form(picture)
    if (model is None) == (data is None):
        raise typer.BadParameter("Name a model, or a file with --csv.")
    if served_by is not None and served_tokens is not None:
        raise typer.BadParameter("--served-by takes the tokens from the books: leave --served-tokens out.")
    if target is not None:
        _check_target(target, of_model=model is not None)
    if data is None:
        _none_of_a_csv(x=x, y=y, cost=cost, unique=unique, served_tokens=served_tokens, served_by=served_by)
        with connect() as client:
            document, drawn = _of_model(client, str(model), form, budget=budget, target=target, at=at, inputs=inputs)
    else:
        if x is None or y is None:
            raise typer.BadParameter("--csv needs --x and --y: the columns of the inputs and of the loss.")
        asked = _question(data, x, y, at or [], cost or [], unique)
        _check_named(target, asked["y"])
        asked |= _wanted(budget, target, served_tokens) | ({"served_by": served_by} if served_by else {})
        with connect() as client:
            document = client.forecasts.data(**asked)
            drawn = client.forecasts.data_as(form, **asked) if form else b""
    if picture is not None:
        picture.write_bytes(drawn)
    if plan is not None:
        _write_plan(document, plan)
    show(document, as_json, forecast_view)


def _of_model(client: Client, model: str, form: str | None, **wanted: Any) -> tuple[dict[str, Any], bytes]:
    document = client.forecasts.model(model, **wanted)
    return document, client.forecasts.model_as(form, model, **wanted) if form else b""


def _none_of_a_csv(**options: Any) -> None:
    for name, value in options.items():
        if value is not None and value != []:
            raise typer.BadParameter(f"--{name.replace('_', '-')} goes with --csv: a model's own versions say it.")


def _question(data: Path, x: str, y: str, at: list[str], costs: list[str], unique: str | None) -> dict[str, Any]:
    """The request body of a CSV's forecast. Raises Unprocessable naming what cannot be read."""
    wanted = [name.strip() for name in x.split(",")]
    names = [label(name) for name in wanted]
    if len({*names, label(y)}) <= len(names):
        raise typer.BadParameter(f"--x and --y name {', '.join([*names, label(y)])}: each should be another column.")
    columns = forecast_table.columns(data, [*wanted, y, *([unique] if unique else [])])
    asked: dict[str, Any] = {"columns": columns, "x": names, "y": label(y), "costs": [_cost(one) for one in costs]}
    asked["at"] = dict(map(parse_figure, at))
    return asked | ({"unique": label(unique), "seen": names[-1]} if unique else {})


def _wanted(budget: str | None, target: str | None, served_tokens: float | None) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if budget is not None:
        money = parse_money(budget)
        wanted |= {"budget": money.micro / MICRO, "currency": money.currency}
    if target is not None:
        wanted["target"] = _number(target.rpartition("=")[2], "target")
    if served_tokens is not None:
        wanted["served_tokens"] = _number(str(served_tokens), "served-tokens")
    return wanted


def _cost(text: str) -> dict[str, Any]:
    product, _, price = text.rpartition("=")
    names = [name.strip() for name in product.split("*") if name.strip()]
    if not names:
        raise typer.BadParameter(f"{text!r} is no price: write it as D=1e-6 or N*D=6e-17.")
    amount = _number(price, "cost")
    if amount < 0:
        raise typer.BadParameter(f"{text!r} is negative: a price is 0 or more (--cost).")
    return {
        "name": product,
        "price": amount,
        "powers": {name: float(names.count(name)) for name in names},
    }


def _number(text: str, field: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise typer.BadParameter(f"{text!r} is no number (--{field}).")
    return value


def _check_target(text: str, of_model: bool) -> None:
    """Of a model a metric's value (accuracy=0.95); of a CSV a loss, its column's name before it or not."""
    checked(parse_figure)(text if of_model or "=" in text else f"loss={text}")


def _check_named(target: str | None, y: str) -> None:
    name = target.rpartition("=")[0].strip() if target else ""
    if name and name != y:
        raise typer.BadParameter(f"The target is of {name!r}, and --y is {y!r}: say {y}=NUMBER, or the number alone.")


def _form(picture: Path) -> str:
    form = picture.suffix.removeprefix(".").lower()
    if form not in ("svg", "png"):
        raise typer.BadParameter(f"A picture is an .svg or a .png, and {picture.name} is neither.")
    return form


def _write_plan(document: dict[str, Any], folder: Path) -> None:
    """One recipe a run. Raises Unprocessable when nothing is planned: it is decided, or not from recipes."""
    runs = [run for run in document.get("plan", {}).get("runs", []) if "recipe" in run]
    if not runs:
        raise Unprocessable(f"There is nothing to plan: {document.get('verdict') or 'no returns on money are known.'}")
    folder.mkdir(parents=True, exist_ok=True)
    for number, run in enumerate(runs, 1):
        (folder / f"run-{number}.yaml").write_text(yaml.safe_dump(run["recipe"], sort_keys=False))
