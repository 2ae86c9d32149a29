"""`gristmill forecast`: where does the next unit of money pay best: more data, more compute, a bigger model?"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from gristmill.cli.connection import connect
from gristmill.cli.forecast_views import forecast_view
from gristmill.cli.output import AsJson, show
from gristmill.client.sync import Client
from gristmill.core.errors import Unprocessable
from gristmill.core.money import MICRO, parse_money


def forecast(
    model: Annotated[str | None, typer.Argument(help="The model, from its own versions and your books.")] = None,
    budget: Annotated[str | None, typer.Option(help="What one more budget buys, as in 500USD.")] = None,
    target: Annotated[str | None, typer.Option(help="What a quality takes: accuracy=0.95, or a loss of a CSV.")] = None,
    at: Annotated[list[str] | None, typer.Option(help="Forecast there, as in rows=5000; from the best run on.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option(help="An input: rows, parameters, passes, people; the first three otherwise.")
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="Write the recipes of the runs that would decide here.")] = None,
    data: Annotated[Path | None, typer.Option("--csv", exists=True, help="Runs from elsewhere, one a line.")] = None,
    x: Annotated[str | None, typer.Option(help="Columns of the inputs, as in N,D.")] = None,
    y: Annotated[str | None, typer.Option(help="Column of the loss.")] = None,
    cost: Annotated[
        list[str] | None, typer.Option(help="A price of an input or of a product of them: N*D=6e-17.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw fit and residuals into this .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast a model from its own versions, or any runs from a CSV with --x and --y."""
    form = None if picture is None else _form(picture)
    if (model is None) == (data is None):
        raise typer.BadParameter("Name a model, or a file with --csv.")
    with connect() as client:
        if data is not None:
            if x is None or y is None:
                raise typer.BadParameter("--csv needs --x and --y: the columns of the inputs and of the loss.")
            asked = _question(data, x, y, budget, target, at or [], cost or [])
            document = client.forecasts.data(**asked)
            drawn = client.forecasts.data_as(form, **asked) if form else b""
        else:
            document, drawn = _of_model(client, str(model), form, budget=budget, target=target, at=at, inputs=inputs)
    if picture is not None:
        picture.write_bytes(drawn)
    if plan is not None:
        _write_plan(document, plan)
    show(document, as_json, forecast_view)


def _of_model(client: Client, model: str, form: str | None, **wanted: Any) -> tuple[dict[str, Any], bytes]:
    document = client.forecasts.model(model, **wanted)
    return document, client.forecasts.model_as(form, model, **wanted) if form else b""


def _question(
    data: Path, x: str, y: str, budget: str | None, target: str | None, at: list[str], costs: list[str]
) -> dict[str, Any]:
    """The request body of a CSV's forecast. Raises Unprocessable naming what cannot be read."""
    names = [name.strip() for name in x.split(",")]
    asked: dict[str, Any] = {"columns": _columns(data, [*names, y]), "x": names, "y": y}
    if budget is not None:
        money = parse_money(budget)
        asked |= {"budget": money.micro / MICRO, "currency": money.currency}
    if target is not None:
        asked["target"] = _number(target.rpartition("=")[2], "target")
    asked["at"] = {name: _number(value, "at") for name, _, value in (one.partition("=") for one in at)}
    asked["costs"] = [_cost(one) for one in costs]
    return asked


def _columns(path: Path, wanted: list[str]) -> dict[str, list[float | None]]:
    """The wanted columns; a cell that is no number is left to the forecast's own refusal."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error):
        raise Unprocessable(f"{path.name} is not a CSV in UTF-8.") from None
    if not rows:
        raise Unprocessable(f"{path.name} has no rows below its header.")
    for name in wanted:
        if name not in rows[0]:
            raise Unprocessable(f"{path.name} has no column {name!r}: it has {', '.join(map(str, rows[0]))}.", got=name)
    return {name: [_cell(row[name]) for row in rows] for name in wanted}


def _cell(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _cost(text: str) -> dict[str, Any]:
    product, _, price = text.rpartition("=")
    names = [name.strip() for name in product.split("*") if name.strip()]
    if not names:
        raise Unprocessable(f"{text!r} is no price: write it as D=1e-6 or N*D=6e-17.", got=text)
    return {
        "name": product,
        "price": _number(price, "cost"),
        "powers": {name: float(names.count(name)) for name in names},
    }


def _number(text: str, field: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Unprocessable(f"{text!r} is no number (--{field}).", field=field) from None


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
