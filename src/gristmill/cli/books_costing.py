"""`gristmill books allocate|write-down|inherit|capitalise|rerate`: what is decided about costs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from gristmill.cli.arguments import Version, checked, moment_parser, number, reference_parser
from gristmill.cli.books_views import rows_view
from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, show
from gristmill.core.prices import parse_share


class Spread(StrEnum):
    uniform = "uniform"
    proportional = "proportional"
    metric = "metric"


class Metric(StrEnum):
    requests = "requests"
    predictions = "predictions"
    tokens = "tokens"
    core_seconds = "core_seconds"
    gpu_seconds = "gpu_seconds"
    kwh = "kwh"
    hours = "hours"


class Method(StrEnum):
    units_of_production = "units-of-production"
    straight_line = "straight-line"
    economic_decay = "economic-decay"


def allocate(
    pool: Annotated[str, typer.Option(help="The pool of shared cost.")] = "team",
    spread: Annotated[
        Spread, typer.Option(help="Alike; in proportion to --weight or each one's own cost; by a metric.")
    ] = Spread.proportional,
    on: Annotated[list[str] | None, typer.Option(help="Who shares it (again for each); every model otherwise.")] = None,
    weight: Annotated[list[int] | None, typer.Option(min=0, help="One for each --on.")] = None,
    metric: Annotated[Metric | None, typer.Option(help="What the metric of --spread metric is.")] = None,
    as_json: AsJson = False,
) -> None:
    """Spread shared cost over those who share it; the parts sum to it exactly."""
    if weight and len(weight) != len(on or []):
        raise typer.BadParameter(f"One --weight belongs to each --on: there are {len(weight)} and {len(on or [])}.")
    if (spread == Spread.metric) != (metric is not None):
        raise typer.BadParameter("--metric and --spread metric belong together: the pool is spread by that metric.")
    if twice := [place for place in on or [] if (on or []).count(place) > 1]:
        raise typer.BadParameter(f"A pool is spread over each place once: {twice[0]} is named twice.")
    with connect() as client:
        document = client.books.allocate(pool, str(spread), on=on, weights=weight, metric=metric)
    show(document, as_json, _allocated)


def write_down(
    version: Version,
    method: Annotated[Method, typer.Option(help="By what the version serves, by time, or with a half-life.")],
    units: Annotated[int | None, typer.Option(min=1, help="All units that it is expected to serve.")] = None,
    days: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Of its life, or of its half-life.",
            parser=number("days", most=999_999, above_0=True),
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose how a version's cost is written down from now on."""
    if (days is None) != (method == Method.units_of_production):
        needed = "takes no --days" if days is not None else "needs --days: of its life, or of its half-life"
        raise typer.BadParameter(f"The method {method} {needed}.")
    with connect() as client:
        document = client.books.write_down(version, str(method), units=units, days=days)
    show(document, as_json, lambda _: f"{version} is written down by {method} from now on.")


def inherit(
    version: Version,
    parent: Annotated[
        str,
        typer.Option("--from", metavar="NAME@VERSION", help="The version it was made from.", parser=reference_parser),
    ],
    share: Annotated[
        str,
        typer.Option(metavar="SHARE", help="The share of its parent's cost, as in 0.25.", parser=checked(parse_share)),
    ],
    as_json: AsJson = False,
) -> None:
    """Let a version take over a share of what its parent cost."""
    with connect() as client:
        document = client.books.inherit(version, parent, share)
    show(document, as_json, lambda _: f"{version} has taken over {share} of the cost of {parent}.")


def capitalise(
    run: Annotated[str, typer.Argument(help="The run's id.")],
    version: Annotated[
        str, typer.Option("--on", metavar="NAME@VERSION", help="As in digits@2.", parser=reference_parser)
    ],
    as_json: AsJson = False,
) -> None:
    """Count a run that made nothing (a failed try, a trial) as part of a version's R&D."""
    with connect() as client:
        document = client.books.capitalise(run, version)
    show(document, as_json, lambda _: f"What {run} cost is part of {version}.")


def rerate(
    since: Annotated[
        str, typer.Option("--from", metavar="DAY", help="From this month, day or moment on.", parser=moment_parser)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rate the past again by the rates known now: reversals and new postings, linked."""
    with connect() as client:
        document = client.books.rerate(since, dry_run=dry_run)
    show(document, as_json, _rerated)


def _allocated(document: dict[str, Any]) -> str:
    shares = [f"{target['on']} {target['weight']}" for target in document["targets"] if target["weight"]]
    if not shares:
        return f"Nobody has a weight: what stands in {document['pool']} is undistributed, and stays visible as such."
    return f"{document['pool']} is spread over {', '.join(shares)}."


def _rerated(document: dict[str, Any]) -> RenderableType:
    count = document["events"]
    verb = "would be" if document["dry_run"] else "is" if count == 1 else "are"
    said = f"{count} event{'' if count == 1 else 's'} {verb} rated again."
    return Group(rows_view(document["rows"]), said) if document["rows"] else said
