"""`gristmill evaluate`: metrics with intervals, and a paired test against another version."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from gristmill.cli.arguments import Version, reference_parser
from gristmill.cli.connection import connect
from gristmill.cli.formats import interval
from gristmill.cli.live import watch
from gristmill.cli.output import AsJson, show, table, text, title
from gristmill.cli.runs import fail_unless_succeeded


def evaluate(
    version: Version,
    data: Annotated[str, typer.Option("--data", metavar="D@V", help="A dataset's version.", parser=reference_parser)],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="NAME@VERSION", help="Compare in a paired test.", parser=reference_parser),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a version on the test rows of a dataset, and wait for the report."""
    with connect() as client:
        run = client.runs.evaluate(version, data, against=against)
        document = watch(client, run["id"], quiet=as_json)
    show(document, as_json, report_view)
    fail_unless_succeeded(document)


def report_view(run: dict[str, Any]) -> RenderableType:
    """Metrics with their 95% intervals, slices, and the verdict of the paired test where there was one."""
    report = run.get("report") or {}
    metrics = [{"metric": name, "value": interval(value)} for name, value in (report.get("metrics") or {}).items()]
    parts: list[RenderableType] = [
        f"{report.get('version')} on {report.get('rows')} rows; {report.get('intervals')}",
        "",
        table(metrics, {"METRIC": "metric", "VALUE [95%]": "value"}, empty="No metrics."),
    ]
    if slices := report.get("slices"):
        parts += ["", table(slices, {key.upper().replace("_", " "): key for key in slices[0]})]
    if verdict := report.get("verdict"):
        parts += ["", title(verdict), text(report["against"].get("test"))]
    return Group(*parts)
