"""`gristmill deploy`: put a version behind an endpoint."""

from __future__ import annotations

from typing import Annotated, Any

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
        str | None,
        typer.Option(
            metavar="N|N..M", help="How many replicas.", callback=lambda text: text and str(replica_count(text))
        ),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory for kept answers, as in 64MB.", parser=checked(parse_size)),
    ] = None,
    cores: Annotated[
        float | None,
        typer.Option(min=0.01, help="Cores of a replica: what it reserves, and how many threads it computes with."),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory of a replica, as in 2GB.", parser=checked(parse_size))
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="What computes; of a language model `auto`, the fastest of a trial, where none is given."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the endpoint is ready.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait; the endpoint moves on by itself.")] = 900.0,
    as_json: AsJson = False,
) -> None:
    """Deploy a version: no request fails while the endpoint moves to it. What is not said stays as it was."""
    name = endpoint or split(version)[0]
    with connect() as client:
        document = client.endpoints.deploy(
            version,
            endpoint=name,
            strategy=str(strategy),
            replicas=replica_count(replicas) if replicas else None,
            resources=resources(cores, memory),
            limits={"cache_bytes": parse_size(cache)} if cache else None,
            runtime=runtime,
        )
        if wait:
            with progress_console.status(f"{name} moves to {version} …") as line:
                document = client.endpoints.wait(
                    name, timeout_s=timeout, say=lambda now: line.update(told(now, version))
                )
    sentence = f"Endpoint {name} serves {version}." if wait else f"Endpoint {name} moves to {version}."
    show(document, as_json, lambda _: sentence)


def told(document: dict[str, Any], version: str) -> str:
    """How far the move is, while it lasts: a language model's first replica may try engines for minutes."""
    replicas = [one for one in document["replicas"] if one["model"] == version]
    ready = sum(one["state"] == "ready" for one in replicas)
    runtime = document["runtime"]
    trying = "; the engines are tried" if runtime["asked"] == "auto" and not runtime["chosen"] else ""
    return f"{document['name']} moves to {version}: {ready} of {len(replicas)} replicas ready{trying} …"


def resources(cores: float | None, memory: str | None) -> dict[str, float] | None:
    """Of a replica, as far as they were said."""
    said = {"cores": cores, "memory_bytes": parse_size(memory) if memory else None}
    return {name: value for name, value in said.items() if value is not None} or None
