"""What processes wrote, as it stands or as it comes; of several, each line under the name of its writer."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is written, until it ends.")]
Lines = Annotated[int | None, typer.Option("--lines", "-n", min=0, max=1_000_000, help="Only the last so many lines.")]


def check_followed(follow: bool, as_json: bool) -> None:
    """One JSON document is printed at an end, and what is followed has none."""
    if follow and as_json:
        raise typer.BadParameter("--follow prints text as it comes and --json one document: leave one of them out")


def print_text(pieces: Iterable[Mapping[str, Any]]) -> None:
    """{text} each, as it was written: a line is as long as it is."""
    for piece in pieces:
        _print(piece["text"])


def print_by_replica(pieces: Iterable[Mapping[str, Any]]) -> None:
    """{replica, text} each: whole lines, an unfinished one once the rest of it came, or at the end."""
    begun: dict[str, str] = defaultdict(str)
    for piece in pieces:
        name = piece["replica"]
        *whole, begun[name] = (begun[name] + piece["text"]).split("\n")
        _print("".join(f"{name}  {line}\n" for line in whole))
    _print("".join(f"{name}  {line}\n" for name, line in begun.items() if line))


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
