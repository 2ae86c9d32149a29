"""`gristmill models export`: a version's bundle as a folder, to carry elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gristmill.cli.arguments import Version, split
from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, show


def export(
    version: Version,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder for the bundle.")],
    format_: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="onnx; the version's own format otherwise.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export a version's bundle as a folder; in another format it must give the same golden answers."""
    with connect() as client:
        written = client.models.export(*split(version), output, format=format_)
    document = {"version": version, "path": str(written)}
    show(document, as_json, lambda done: f"{done['version']} is in {done['path']}.")
