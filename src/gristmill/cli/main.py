"""The root of the command line: stacks the commands of DESIGN section 5, each from its own file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from gristmill.cli.failure import guarded
from gristmill.cli.lazy_group import Entry, LazyGroup

COMMANDS = (
    Entry("up", "gristmill.cli.platform:up", "Start the platform on this machine."),
    Entry("down", "gristmill.cli.platform:down", "Stop the platform; requests under way are answered first."),
    Entry("status", "gristmill.cli.platform:status", "Show what is running."),
    Entry("doctor", "gristmill.cli.doctor:doctor", "Check this machine and say what to do about what is wrong."),
    Entry(
        "demo",
        "gristmill.cli.demo.command:demo",
        "Take real data through the whole life of a model, and show the books.",
    ),
    Entry("data", "gristmill.cli.data:app", "Datasets and their versions."),
    Entry("train", "gristmill.cli.train:train", "Train a version from a recipe."),
    Entry("runs", "gristmill.cli.runs:app", "Runs: what they do, did and used."),
    Entry("evaluate", "gristmill.cli.evaluate:evaluate", "Evaluate a version on a dataset, alone or against another."),
    Entry("models", "gristmill.cli.models:app", "Models, their versions and aliases."),
    Entry("deploy", "gristmill.cli.deploy:deploy", "Put a version behind an endpoint, or move the endpoint to it."),
    Entry("endpoints", "gristmill.cli.endpoints:app", "Endpoints: what clients call."),
    Entry("runtimes", "gristmill.cli.runtimes:app", "What computes, here or in an environment of its own."),
    Entry("predict", "gristmill.cli.predict:predict", "Call an endpoint."),
    Entry("chat", "gristmill.cli.chat:chat", "Talk to a language model."),
    Entry("explain", "gristmill.cli.explain:explain", "Explain an endpoint's prediction."),
    Entry("keys", "gristmill.cli.keys:app", "API keys."),
    Entry("tenants", "gristmill.cli.tenants:app", "Tenants: who owns things and pays."),
    Entry("forecast", "gristmill.cli.forecast:forecast", "Where does the next unit of money pay best?"),
    Entry("books", "gristmill.cli.books:app", "The books: what went in, what came out, what it cost and earned."),
)


class Root(LazyGroup):
    entries = COMMANDS


app = typer.Typer(cls=Root, add_completion=True, rich_markup_mode="rich")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gristmill {version('gristmill')}")
        raise typer.Exit


@app.callback()
def root(
    home: Annotated[
        Path | None, typer.Option("--home", help="Home folder; $GRISTMILL_HOME or ~/.gristmill otherwise.")
    ] = None,
    _: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Gristmill: from a dataset to a versioned, metered, explained API, with one set of books."""
    if home is not None:
        os.environ["GRISTMILL_HOME"] = str(home.absolute())


def run(arguments: Sequence[str]) -> int:
    """One command line; returns the exit status: 0, 1 (failed), 2 (bad arguments). Nothing at all asks for help."""
    line = list(arguments) or ["--help"]
    return guarded(lambda: typer.main.get_command(app).main(line, prog_name="gristmill", standalone_mode=False))


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
