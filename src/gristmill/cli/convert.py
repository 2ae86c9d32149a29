"""`gristmill models convert`: a trusted pickle into a format that is safe to import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gristmill.cli.output import AsJson, show
from gristmill.core.errors import Conflict, Internal, Unprocessable

WITHIN_S = 1_800


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A .pt, .pth, .bin, .ckpt or .h5 file.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="OUT", help="The new .safetensors or .keras file.")],
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the code that the file holds, where tensors alone do not do.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Convert a file that you trust into one that is safe to import, in a process without network and environment."""
    if to.exists():
        raise Conflict(f"{to} is there already: name a new file.")
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / f"converted{to.suffix}"
        told = _converted(source.absolute(), made, trust_code)
        shutil.move(made, to)
    document = {"source": str(source), "path": str(to), "bytes": to.stat().st_size, **told}
    show(document, as_json, lambda done: f"{done['path']} holds the {done['tensors']} tensors of {done['source']}.")


def _converted(source: Path, target: Path, trust_code: bool) -> dict[str, Any]:
    """What the restricted process says. Raises Unprocessable with its sentence."""
    command = [sys.executable, "-I", "-m", "gristmill.lab.convert", str(source), str(target)]
    try:
        ended = subprocess.run(
            [*command, *(["--trust-code"] if trust_code else [])],
            cwd=target.parent,
            env={"PATH": os.defpath, "HOME": str(target.parent), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unprocessable(f"{source.name} was not converted within {WITHIN_S // 60} minutes.") from None
    try:
        told: dict[str, Any] = msgspec.json.decode(ended.stdout.splitlines()[-1])
    except (IndexError, msgspec.DecodeError):
        raise Internal(f"{source.name} was not converted: its process ended with {ended.returncode}.") from None
    if "error" in told:
        raise Unprocessable(str(told["error"]))
    return told
