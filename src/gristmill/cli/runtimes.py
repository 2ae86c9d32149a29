"""`gristmill runtimes`: what computes, here or in an environment of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, Fields, progress_console, show, table

app = typer.Typer(help="Runtimes: what computes, here or in an environment of its own.", add_completion=False)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the runtimes and where they are installed."""
    with connect() as client:
        runtimes = client.runtimes.list()
    fields: Fields = {"RUNTIME": "name", "STATE": "state", "PYTHON": "python", "ERROR": "error"}
    show(runtimes, as_json, lambda rows: table(rows, fields))


@app.command()
def install(
    runtime: Annotated[str, typer.Argument(metavar="NAME", help="The runtime, as in vllm.")],
    wait: Annotated[bool, typer.Option(help="Wait until it is installed.")] = True,
    as_json: AsJson = False,
) -> None:
    """Install a runtime in a Python environment of its own, beside frameworks whose pins clash with its own."""
    with connect() as client:
        document = client.runtimes.install(runtime)
        if wait:
            with progress_console.status(f"{runtime} is being installed …"):
                document = client.runtimes.wait(runtime)
    sentence = f"Runtime {runtime} is {document['state']}: `gristmill deploy NAME@VERSION --runtime {runtime}`."
    show(document, as_json, lambda _: sentence)
