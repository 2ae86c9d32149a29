"""`gristmill train`: a version from a recipe."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from gristmill.cli.arguments import assignment, split, stated
from gristmill.cli.connection import connect
from gristmill.cli.formats import money
from gristmill.cli.live import watch as watch_live
from gristmill.cli.output import AsJson, show
from gristmill.cli.runs import fail_unless_succeeded, run_view
from gristmill.client.sync import Client
from gristmill.core.errors import Unprocessable
from gristmill.tasks.recipe import parse_recipe, read_mapping, set_fields

POSTED_WITHIN_S = 5.0  # the books follow an ended run by the shipper's next look
POLL_S = 0.2


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", exists=True, dir_okay=False, help="The recipe.")],
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run until it ends.")] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="Change a field of the recipe.", parser=assignment("training.epochs=3")
        ),
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Higher is granted resources first.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train a version from a recipe. Without --watch the run is queued and the command returns."""
    with stated():
        wanted = parse_recipe(set_fields(_mapping(recipe), changes or []))
    with connect() as client:
        document = client.runs.train(wanted.model_dump(mode="json"), priority=priority, folder=recipe.parent)
        if watch:
            document = watch_live(client, document["id"], quiet=as_json, title=f"{wanted.name} {document['id']}")
            document |= costs_of(client, document.get("made"))
    show(document, as_json, _ended if watch else _queued)
    if watch:
        fail_unless_succeeded(document)


def _mapping(recipe: Path) -> dict[str, Any]:
    try:
        return read_mapping(recipe.read_text())
    except UnicodeDecodeError:
        raise Unprocessable(f"{recipe.name} is not a text file: a recipe is YAML in UTF-8.") from None


def costs_of(client: Client, made: str | None) -> dict[str, Any]:
    """{cost, other_costs}: the books' rows of the version `made`, one a currency; {cost: None} if they are not there
    in time.
    """
    for _ in range(round(POSTED_WITHIN_S / POLL_S) if made else 0):
        rows = client.books.report("cost", model=split(str(made))[0])["rows"]
        found: list[dict[str, Any]] = [row for row in rows if row["version"] == made]
        if found:
            first, *others = sorted(found, key=lambda row: -row["capitalised_micro"])
            return {"cost": first, "other_costs": others}
        time.sleep(POLL_S)
    return {"cost": None}


def _queued(run: dict[str, Any]) -> str:
    return f"{run['id']} is {run['state']}: `gristmill runs watch {run['id']}` follows it."


def _ended(run: dict[str, Any]) -> RenderableType:
    costs = [row for row in (run.get("cost"), *run.get("other_costs", [])) if row]
    cost = " and ".join(money(row["capitalised_micro"], row["currency"]) for row in costs)
    line = f"{run['made']} is made" if run.get("made") else f"{run['id']} is {run['state']}"
    return Group(run_view(run), "", line + (f"; it cost {cost}." if cost else "."))
