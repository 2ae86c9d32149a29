"""`gristmill endpoints`: what clients call."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from gristmill.cli import adapters
from gristmill.cli.arguments import replica_count
from gristmill.cli.connection import connect
from gristmill.cli.formats import duration, moment
from gristmill.cli.logs import Follow, Lines, check_followed, print_by_replica, print_text
from gristmill.cli.output import AsJson, Fields, facts, show, table

app = typer.Typer(help="Endpoints: what clients call.", add_completion=False)
app.add_typer(adapters.app, name="adapters")
Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's name.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the endpoints."""
    with connect() as client:
        endpoints = client.endpoints.list()
    fields: Fields = {
        "ENDPOINT": "name",
        "STATE": "state",
        "SERVES": _serves,
        "REPLICAS": lambda row: len(row.get("replicas") or []),
        "CHANGED": lambda row: moment(row.get("changed_at")),
    }
    show(
        endpoints, as_json, lambda rows: table(rows, fields, empty="No endpoint yet: `gristmill deploy NAME@VERSION`.")
    )


@app.command("show")
def show_(endpoint: Endpoint, as_json: AsJson = False) -> None:
    """Show an endpoint: state, versions, replicas, rollout."""
    with connect() as client:
        document = client.endpoints.get(endpoint)
    show(document, as_json, endpoint_view)


@app.command()
def logs(
    endpoint: Endpoint,
    replica: Annotated[
        str | None, typer.Option(metavar="ID", help="Of this one; also of one that has ended, while its log is kept.")
    ] = None,
    follow: Follow = False,
    lines: Lines = None,
    as_json: AsJson = False,
) -> None:
    """Print what the endpoint's replicas have written: those that live, and those that failed in its last move."""
    check_followed(follow, as_json)
    with connect() as client:
        if as_json:
            show(client.endpoints.logs(endpoint, replica=replica, lines=lines), as_json, str)
        else:
            read = client.endpoints.follow if follow else client.endpoints.logs
            (print_text if replica else print_by_replica)(read(endpoint, replica=replica, lines=lines))


@app.command()
def rollback(endpoint: Endpoint, as_json: AsJson = False) -> None:
    """Move an endpoint back to what it served before."""
    with connect() as client:
        client.endpoints.rollback(endpoint)
        document = client.endpoints.wait(endpoint)
    show(document, as_json, lambda done: f"Endpoint {endpoint} serves {_serves(done)}.")


@app.command()
def scale(
    endpoint: Endpoint,
    replicas: Annotated[
        str, typer.Argument(metavar="N|N..M", help="How many.", callback=lambda text: str(replica_count(text)))
    ],
    as_json: AsJson = False,
) -> None:
    """Change how many replicas an endpoint has."""
    with connect() as client:
        client.endpoints.scale(endpoint, replica_count(replicas))
        document = client.endpoints.wait(endpoint)
    show(
        document,
        as_json,
        lambda _: f"Endpoint {endpoint} has {replicas} {'replica' if replicas == '1' else 'replicas'}.",
    )


@app.command()
def delete(endpoint: Endpoint, as_json: AsJson = False) -> None:
    """Delete an endpoint; its requests under way are answered first."""
    with connect() as client:
        document = client.endpoints.delete(endpoint)
    show(document or {"name": endpoint, "state": "deleting"}, as_json, lambda _: f"Endpoint {endpoint} is deleted.")


def _serves(endpoint: dict[str, Any]) -> str:
    versions = endpoint.get("versions") or []
    return ", ".join(f"{one.get('model') or one.get('version')} ({one.get('weight')})" for one in versions) or "–"


def endpoint_view(endpoint: dict[str, Any]) -> RenderableType:
    rollout = endpoint.get("rollout") or {}
    replicas = endpoint.get("replicas") or []
    fields: Fields = {"REPLICA": "id", "MODEL": "model", "STATE": "state", "RESTARTS": "restarts", "ERROR": "error"}
    return Group(
        facts(
            {
                "endpoint": endpoint.get("name"),
                "state": endpoint.get("state"),
                "serves": _serves(endpoint),
                "adapters": ", ".join(f"{one['name']} ({one['state']})" for one in endpoint.get("adapters") or [])
                or None,
                "rollout": f"{rollout.get('strategy')}, {rollout.get('state')}" if rollout else None,
                "runtime": _runtime(endpoint.get("runtime") or {}),
                **_written(endpoint.get("written") or {}),
                "error": rollout.get("error"),
            }
        ),
        *_trial(endpoint.get("runtime") or {}),
        "",
        table(replicas, fields, empty="No replica."),
    )


def _runtime(runtime: dict[str, Any]) -> str | None:
    """Of a version that has its own there is nothing to say."""
    if runtime.get("asked") is None:
        return None
    return f"{runtime.get('chosen') or 'auto'}: {runtime.get('because')}"


def _written(figures: dict[str, Any]) -> dict[str, str | None]:
    """Of a version that generates text, once it has."""
    energy = figures.get("energy")
    return {
        "first token": _percentiles(figures.get("first_token_s"), f" ({figures.get('texts')} texts of the last hour)"),
        "each token": _percentiles(figures.get("per_token_s")),
        "energy": energy and f"{energy['joules_per_1000_tokens']:.3g} J per 1,000 tokens ({energy['basis']})",
    }


def _percentiles(times: dict[str, float] | None, of: str = "") -> str | None:
    """Of less than a second with three digits: a token takes a few milliseconds."""
    told = {name: f"{1000 * value:.3g} ms" if value < 1 else duration(value) for name, value in (times or {}).items()}
    return ", ".join(f"{name} {value}" for name, value in told.items()) + of if told else None


def _trial(runtime: dict[str, Any]) -> list[RenderableType]:
    figures = [one for one in runtime.get("figures") or [] if one["tokens_per_s"] or one["refused"]]
    streams = sorted({count for one in figures for count in one["tokens_per_s"]}, key=int)
    fields: Fields = {
        "RUNTIME": "runtime",
        **{f"AT {count}": partial(_speed, streams=count) for count in streams},
        "LOADED IN": lambda one: None if one["refused"] else f"{one['load_s']:.1f} s",
        "REFUSED": "refused",
    }
    return ["", table(figures, fields, empty="")] if figures else []


def _speed(figures: dict[str, Any], streams: str) -> str | None:
    speed = figures["tokens_per_s"].get(streams)
    return None if speed is None else f"{speed:.0f} tokens/s"
