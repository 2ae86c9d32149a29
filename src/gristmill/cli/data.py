"""`gristmill data`: datasets and their versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from gristmill.cli.arguments import Cost, Dataset
from gristmill.cli.connection import connect
from gristmill.cli.formats import moment, money, reference, size
from gristmill.cli.output import AsJson, Fields, facts, show, table, text

app = typer.Typer(help="Datasets and their versions.", add_completion=False)


def _shares(text: str) -> str:
    try:
        sound = len([float(share) for share in text.split(",")]) == 3
    except ValueError:
        sound = False
    if not sound:
        raise typer.BadParameter("write three shares that sum to 1, as in 0.9,0.05,0.05.")
    return text


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The dataset's name.")],
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            exists=True,
            help="A file (CSV, JSONL, Parquet, NPZ, IDX, text); a folder of images, texts, or train.csv, test.csv.",
        ),
    ],
    task: Annotated[str | None, typer.Option(help="What it is for, as in image-classification.")] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict; of series several, as in OT,HUFL.")] = None,
    time: Annotated[str | None, typer.Option(help="Of series: the column that holds the time.")] = None,
    cost: Cost = None,
    licence: Annotated[str | None, typer.Option(help="Its licence, as in CC-BY-4.0.")] = None,
    source: Annotated[str | None, typer.Option(help="Where it comes from.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="What stands between a CSV file's values.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV file's text, as in latin-1; UTF-8 otherwise.")] = None,
    header: Annotated[bool, typer.Option(help="Whether a CSV file's first line names its columns.")] = True,
    columns: Annotated[
        str | None, typer.Option(metavar="NAME,NAME...", help="Names of a CSV file's columns, which has no header.")
    ] = None,
    quotes: Annotated[bool, typer.Option(help="Whether quotation marks in a CSV file enclose values.")] = True,
    ratios: Annotated[
        str | None,
        typer.Option(
            metavar="TRAIN,VALIDATION,TEST", help="Shares of the splits; 0.7,0.15,0.15 otherwise.", parser=_shares
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a version of a dataset: immutable, with schema, splits, licence and cost."""
    said = {
        "delimiter": delimiter, "encoding": encoding, "header": None if header else False,
        "columns": columns.split(",") if columns else None, "quote": None if quotes else False,
        "ratios": [float(share) for share in ratios.split(",")] if ratios else None, "time": time,
    }  # fmt: skip
    options = {option: value for option, value in said.items() if value is not None}
    with connect() as client:
        version = client.datasets.add(
            path, name=name, task=task, target=target, cost=cost, licence=licence, source=source, options=options
        )
    show(version, as_json, _added)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the datasets."""
    with connect() as client:
        datasets = client.datasets.list()
    fields: Fields = {
        "DATASET": lambda row: reference(row["name"], row.get("version")),
        "TASK": "task",
        "ROWS": "rows",
        "SIZE": lambda row: size(row.get("bytes")),
        "LICENCE": "licence",
        "ADDED": lambda row: moment(row.get("created_at")),
    }
    show(datasets, as_json, lambda rows: table(rows, fields, empty="No dataset yet: `gristmill data add NAME PATH`."))


@app.command("show")
def show_(dataset: Dataset, as_json: AsJson = False) -> None:
    """Show a dataset version; the newest one where none is named."""
    name, _, version = dataset.partition("@")
    with connect() as client:
        found = client.datasets.get(name, version or None)
    show(found, as_json, _view)


@app.command()
def profile(dataset: Dataset, as_json: AsJson = False) -> None:
    """Show what stands in a dataset version: columns, values, balance, suspects."""
    name, _, version = dataset.partition("@")
    with connect() as client:
        found = client.datasets.profile(name, version or None)
    show(found, as_json, profile_view)


def _added(version: dict[str, Any]) -> RenderableType:
    return f"{reference(version['name'], version['version'])}: {version['rows']} rows, {size(version['bytes'])}."


def _view(version: dict[str, Any]) -> RenderableType:
    cost = version.get("cost_micro")
    return facts(
        {
            "dataset": reference(version["name"], version["version"]),
            "task": version.get("task"),
            "rows": version.get("rows"),
            "size": size(version.get("bytes")),
            "licence": version.get("licence") or "not stated",
            "source": version.get("source"),
            "cost": money(cost, version.get("currency")) if cost is not None else "not stated",
            "added": moment(version.get("created_at")),
            "digest": version.get("digest"),
        }
    )


def profile_view(profile: dict[str, Any]) -> RenderableType:
    """Scalars as facts, columns as a table; whatever else the profile holds as a line each."""
    columns = profile.get("columns")
    rows = [{"name": name, **facts_} for name, facts_ in columns.items()] if isinstance(columns, dict) else columns
    plain = {key: text(value) for key, value in profile.items() if key not in ("columns", "target") and value != []}
    plain |= {"target": _target(profile["target"])} if profile.get("target") else {}
    if not rows:
        return facts(plain)
    headings = list(dict.fromkeys(key for row in rows for key in row if not isinstance(row[key], dict | list)))
    return Group(facts(plain), "", table(rows, {heading.upper(): heading for heading in headings}))


def _target(target: dict[str, Any]) -> str:
    """The column to predict: its classes with their counts, or where its values lie."""
    values = target.get("values")
    if isinstance(values, dict):
        return f"{target['name']}: {text(values)}"
    known = {key: target[key] for key in ("min", "mean", "max") if key in target}
    return f"{target['name']}: {text(known)}"
