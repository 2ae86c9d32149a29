"""`gristmill deploy`: put a version behind an endpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill.cli.arguments import Version, checked, replica_count, split
from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, progress_console, show
from gristmill.core.sizes import parse_size
from gristmill.core.types import Strategy


def deploy(
    version: Version,
    endpoint: Annotated[str | None, typer.Option(help="The endpoint's name; the model's name otherwise.")] = None,
    strategy: Annotated[Strategy, typer.Option(help="How the endpoint moves.")] = Strategy.rolling,
    replicas: Annotated[
        str, typer.Option(metavar="N|N..M", help="How many replicas.", callback=lambda text: str(replica_count(text)))
    ] = "1",
    cache: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Memory for kept answers, as in 64MB.", parser=checked(parse_size)),
    ] = "0",
    cores: Annotated[
        float | None, typer.Option(help="Cores of a replica: what it reserves, and how many threads it computes with.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory of a replica, as in 2GB.", parser=checked(parse_size))
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="What computes; of a language model `auto`, the fastest of a trial, where none is given."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the endpoint is ready.")] = True,
    as_json: AsJson = False,
) -> None:
    """Deploy a version: no request fails while the endpoint moves to it."""
    name = endpoint or split(version)[0]
    with connect() as client:
        document = client.endpoints.deploy(
            version,
            endpoint=name,
            strategy=str(strategy),
            replicas=replica_count(replicas),
            resources=resources(cores, memory),
            limits={"cache_bytes": parse_size(cache)} if parse_size(cache) else None,
            runtime=runtime,
        )
        if wait:
            with progress_console.status(f"{name} moves to {version} …"):
                document = client.endpoints.wait(name)
    sentence = f"Endpoint {name} serves {version}." if wait else f"Endpoint {name} moves to {version}."
    show(document, as_json, lambda _: sentence)


def resources(cores: float | None, memory: str | None) -> dict[str, float] | None:
    """Of a replica, as far as they were said."""
    said = {"cores": cores, "memory_bytes": parse_size(memory) if memory else None}
    return {name: value for name, value in said.items() if value is not None} or None
