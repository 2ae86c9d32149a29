"""`gristmill models import`: a stranger's model becomes a version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.console import Group, RenderableType

from gristmill.cli.connection import connect
from gristmill.cli.live import watch
from gristmill.cli.output import AsJson, facts, show
from gristmill.cli.runs import fail_unless_succeeded
from gristmill.core.errors import Unprocessable
from gristmill.core.types import DTYPES, TensorSpec

_INPUT = re.compile(r"(?P<name>[^:]+):(?P<dtype>\w+):\[(?P<shape>-?\d+(?:,\s*-?\d+)*)\]")


def _tensor(text: str) -> TensorSpec:
    match = _INPUT.fullmatch(text.strip())
    if not match or match["dtype"] not in (*DTYPES, "BYTES"):
        raise typer.BadParameter(f"{text!r} is no NAME:DTYPE:[SHAPE], as in image:FP32:[-1,3,224,224].")
    return TensorSpec(match["name"], match["dtype"], tuple(int(size) for size in match["shape"].split(",")))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter("write a number a channel, as in 0.485,0.456,0.406.") from None


def import_(
    source: Annotated[
        str, typer.Argument(metavar="PATH_OR_URI", help="A file or folder, hf://ORG/NAME or mlflow://NAME/VERSION.")
    ],
    name: Annotated[str | None, typer.Option(help="The model's name; the file's own otherwise.")] = None,
    task: Annotated[str | None, typer.Option(help="As in image-classification; tensors in and out otherwise.")] = None,
    inputs: Annotated[
        list[TensorSpec] | None,
        typer.Option("--input", metavar="NAME:DTYPE:[SHAPE]", help="An input that the file lacks.", parser=_tensor),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with one class name a line.")
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="Of weights alone, as in efficientnet-lite0.")] = None,
    mean: Annotated[
        Any, typer.Option(metavar="NUMBERS", help="Of a picture's channels, as fractions of 1.", parser=_numbers)
    ] = None,
    std: Annotated[Any, typer.Option(metavar="NUMBERS", help="The same for their spread.", parser=_numbers)] = None,
    base: Annotated[
        str | None, typer.Option(metavar="NAME[@VERSION]", help="Of a LoRA adapter's folder: what it adapts.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="The model's licence, where the file does not say.")] = None,
    scores: Annotated[
        Literal["logits", "independent", "independent-logits"] | None,
        typer.Option(help="How a classifier's outputs are read; found out by trying otherwise."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import a model as a new version, in a process of its own; formats that run code when loaded are refused."""
    told = {
        "name": name,
        "task": task,
        "inputs": msgspec.to_builtins(inputs) if inputs else None,
        "labels": _lines(labels) if labels else None,
        "architecture": architecture,
        "mean": mean,
        "std": std,
        "base": base,
        "licence": licence,
        "scores": scores,
    }
    with connect() as client:
        run = watch(client, client.runs.import_(source, **told)["id"], quiet=as_json, title=f"import {source}")
        fail_unless_succeeded(run)
        model, _, version = run["made"].partition("@")
        made = client.models.get(model, version)
    show(made, as_json, _imported)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except UnicodeDecodeError:
        raise Unprocessable(f"{path.name} is not a text file: labels are UTF-8, one a line.") from None


def tensors(signature: dict[str, Any]) -> dict[str, str]:
    """A signature's tensors as facts, one a line."""
    named = (("takes", signature.get("inputs")), ("gives", signature.get("outputs")))
    return {
        f"{verb} {spec['name']}": f"{spec['dtype']} {spec['shape']}" for verb, specs in named for spec in specs or []
    }


def _imported(version: dict[str, Any]) -> RenderableType:
    reference, manifest = f"{version['model']}@{version['version']}", version["manifest"]
    known = {
        "runtime": manifest["runtime"],
        "task": version["task"],
        "parameters": f"{manifest['parameters']:,}",
        "adapts" if manifest["framework"] == "peft" else "made from": manifest["lineage"].get("parent"),
        **tensors(manifest["signature"]),
        "licence": manifest.get("licence") or "not stated",
    }
    return Group(f"Imported as {reference}; its golden answers were replayed.", "", facts(known))
