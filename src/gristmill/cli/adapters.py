"""`gristmill endpoints adapters`: LoRA adapters on an endpoint that serves."""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, Fields, show, table

app = typer.Typer(help="LoRA adapters on an endpoint, called as ENDPOINT:NAME.", add_completion=False)
Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's name.")]


@app.command()
def add(
    endpoint: Endpoint,
    version: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="The adapter's version.")],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="What it is called there; its model's name otherwise.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add an adapter while the endpoint serves; ready once every replica has it."""
    with connect() as client:
        made = client.endpoints.add_adapter(endpoint, version, name=name)
        document = client.endpoints.wait_adapter(endpoint, made["name"])
    show(document, as_json, lambda done: f"{done['version']} answers as {endpoint}:{done['name']}.")


@app.command("list")
def list_(endpoint: Endpoint, as_json: AsJson = False) -> None:
    """List the endpoint's adapters."""
    with connect() as client:
        adapters = client.endpoints.adapters(endpoint)
    fields: Fields = {
        "CALLED": lambda one: f"{endpoint}:{one['name']}",
        "VERSION": "version",
        "STATE": "state",
        "ERROR": "error",
    }
    empty = f"No adapter yet: `gristmill endpoints adapters add {endpoint} NAME@VERSION`."
    show(adapters, as_json, lambda rows: table(rows, fields, empty=empty))


@app.command()
def remove(
    endpoint: Endpoint,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called there.")],
    as_json: AsJson = False,
) -> None:
    """Remove an adapter; texts that are being written with it are finished."""
    with connect() as client:
        document = client.endpoints.remove_adapter(endpoint, name)
    show(document, as_json, lambda _: f"{endpoint}:{name} is removed.")
