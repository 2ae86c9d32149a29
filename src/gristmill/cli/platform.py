"""`gristmill up`, `down`, `status`."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from gristmill.cli import installation, ports
from gristmill.cli.connection import connect
from gristmill.cli.formats import size
from gristmill.cli.output import AsJson, facts, progress_console, show, table, text, title
from gristmill.core.errors import Conflict
from gristmill.core.settings import Settings, load_settings

Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Kept in settings.toml of the home folder.")]


def up(inference_port: Port = None, control_port: Port = None, grpc_port: Port = None, as_json: AsJson = False) -> None:
    """Start the platform: controller, gateway, control API. Returns when it is ready."""
    given = {"inference_port": inference_port, "control_port": control_port, "grpc_port": grpc_port}
    settings = load_settings()
    already = installation.running(settings)
    if already and load_settings(given) != settings:
        raise Conflict("The platform is up on other ports: `gristmill down` first, then `gristmill up` with these.")
    if not already:
        settings = load_settings(given)
        installation.check_ports(settings)
        if grpc_port is not None:
            ports.check_free(settings.host, grpc_port, "grpc_port")
        installation.remember(settings, **given)
        with progress_console.status("Starting …") as line:
            installation.start(settings, os.environ, line.update)
    with connect() as client:
        document = {**client.platform.status(), **addresses(settings), "already_up": already}
    show(document, as_json, lambda done: _up_view(done, settings))


def down(as_json: AsJson = False) -> None:
    """Stop the platform: requests under way are answered, runs save a checkpoint."""
    settings = load_settings()
    if not installation.processes(settings):
        show({"state": "down", "stopped": 0}, as_json, lambda _: "The platform is not up.")
        return
    with progress_console.status("Stopping …") as line:
        stopped = installation.stop(settings, line.update)
    show({"state": "down", "stopped": stopped}, as_json, lambda _: f"The platform is down: {stopped} processes ended.")


def status(as_json: AsJson = False) -> None:
    """Show what is running: addresses, endpoints, runs, resources. Exits 1 when the platform is not up."""
    with connect() as client:
        document = client.platform.status()
    show(document, as_json, _status_view)


def addresses(settings: Settings) -> dict[str, str]:
    return {
        "inference_url": f"http://{settings.host}:{settings.inference_port}",
        "control_url": f"http://{settings.host}:{settings.control_port}",
        "key_file": str(settings.admin_key_file),
    }


def _up_view(document: dict[str, Any], settings: Settings) -> RenderableType:
    return Group(
        "Gristmill was already up." if document["already_up"] else "Gristmill is up.",
        facts(
            {
                "inference": document["inference_url"],
                "gRPC": document["grpc_address"] or f"not served: {settings.grpc_port} is taken, or no gristmill[grpc]",
                "control": document["control_url"],
                "admin key": document["key_file"],
                "home": settings.home,
            }
        ),
    )


def _status_view(document: dict[str, Any]) -> RenderableType:
    plain = {key.replace("_", " "): _words(value) for key, value in document.items() if not _rows(value)}
    parts: list[RenderableType] = [facts(plain)]
    for key, rows in document.items():
        if _rows(rows):
            headings = dict.fromkeys(name for row in rows for name in row if not isinstance(row[name], list | dict))
            parts += ["", title(key), table(rows, {name.upper().replace("_", " "): name for name in headings})]
    return Group(*parts)


def _words(value: Any) -> str:
    """Of several counters each with its name: `memory 23.5 GiB, granted memory 0 B`."""
    if not isinstance(value, dict):
        return text(value)
    told = {name: size(item) if name.endswith("_bytes") else text(item) for name, item in value.items()}
    return ", ".join(f"{name.removesuffix('_bytes').replace('_', ' ')} {item}" for name, item in told.items())


def _rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
