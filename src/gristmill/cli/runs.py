"""`gristmill runs`: what runs do, did and used."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import RenderableType

from gristmill.cli.connection import connect
from gristmill.cli.failure import Failed
from gristmill.cli.formats import duration, interval, moment, size
from gristmill.cli.live import watch as watch_live
from gristmill.cli.logs import Follow, Lines, check_followed, print_text
from gristmill.cli.output import AsJson, Fields, facts, show, table

app = typer.Typer(help="Runs: what they do, did and used.", add_completion=False)
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 200, as_json: AsJson = False
) -> None:
    """List the runs, newest first."""
    with connect() as client:
        runs = client.runs.list(limit=limit)
    fields: Fields = {
        "RUN": "id",
        "WHAT": lambda row: f"{row['kind']} {row['name']}",
        "STATE": "state",
        "MADE": "made",
        "CREATED": lambda row: f"{moment(row['created_at'])[5:16]}Z",
    }
    show(runs, as_json, lambda rows: table(rows, fields, empty="No run yet: `gristmill train RECIPE.yaml`."))


@app.command("show")
def show_(run: Run, as_json: AsJson = False) -> None:
    """Show a run: its state, metrics, use, and what it made."""
    with connect() as client:
        document = client.runs.get(run)
    show(document, as_json, run_view)


@app.command()
def logs(run: Run, follow: Follow = False, lines: Lines = None, as_json: AsJson = False) -> None:
    """Print what the run's process has written."""
    check_followed(follow, as_json)
    with connect() as client:
        if as_json:
            show({"run": run, "text": client.runs.logs(run, lines=lines)}, as_json, str)
        else:
            runs = client.runs
            print_text(runs.follow(run, lines=lines) if follow else [{"text": runs.logs(run, lines=lines)}])


@app.command()
def watch(run: Run, as_json: AsJson = False) -> None:
    """Follow a run until it ends; exits 1 unless it succeeds."""
    with connect() as client:
        document = watch_live(client, run, quiet=as_json)
    show(document, as_json, run_view)
    fail_unless_succeeded(document)


@app.command()
def cancel(run: Run, as_json: AsJson = False) -> None:
    """Cancel a run; it saves a checkpoint first."""
    with connect() as client:
        document = client.runs.cancel(run)
    show(document, as_json, lambda document: f"{document['id']} is being cancelled.")


@app.command()
def resume(run: Run, as_json: AsJson = False) -> None:
    """Resume a failed or cancelled run from its last checkpoint."""
    with connect() as client:
        document = client.runs.resume(run)
    show(document, as_json, lambda document: f"{document['id']} is {document['state']}, attempt {document['attempt']}.")


def fail_unless_succeeded(run: dict[str, Any]) -> None:
    """Raises Failed with the run's own sentence."""
    if run["state"] != "succeeded":
        raise Failed(run.get("error") or f"Run {run['id']} is {run['state']}: see `gristmill runs logs {run['id']}`.")


def progress(run: dict[str, Any]) -> str:
    done = run.get("progress") or {}
    return f"{done['step']}/{done['total_steps']}" if done.get("total_steps") else "–"


def run_view(run: dict[str, Any]) -> RenderableType:
    use = run.get("use") or {}
    metrics = {name: interval(value) for name, value in (run.get("metrics") or {}).items()}
    return facts(
        {
            "run": run["id"],
            "kind": run["kind"],
            "name": run.get("name"),
            "state": run["state"],
            "attempt": run.get("attempt"),
            "step": progress(run),
            **metrics,
            "took": duration(use["wall_s"]) if use.get("wall_s") else None,
            "CPU time": duration(use["cpu_s"]) if use.get("cpu_s") else None,
            "peak memory": size(use["peak_memory_bytes"]) if use.get("peak_memory_bytes") else None,
            "energy": energy(use.get("energy")),
            "made": run.get("made"),
            "error": run.get("error"),
        }
    )


def energy(measure: dict[str, Any] | None) -> str | None:
    """A Measure → `41.2 J (modelled: TDP model)`; an absent counter is unknown."""
    if not measure:
        return None
    if measure.get("value") is None:
        return f"unknown ({measure.get('source')})"
    return f"{measure['value']:.4g} {measure['unit']} ({measure['basis']}: {measure['source']})"
