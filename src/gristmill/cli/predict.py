"""`gristmill predict`: call an endpoint."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import RenderableType

from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, show, table, text
from gristmill.core.errors import Unprocessable

Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's name.")]
Input = Annotated[
    str, typer.Argument(metavar="INPUT", help="A file (image, text, JSON), JSON itself, plain text, or - for stdin.")
]


def predict(endpoint: Endpoint, input_: Input, as_json: AsJson = False) -> None:
    """Call an endpoint and print its answer."""
    payload = read_input(input_)
    with connect() as client, told_as(input_, payload):
        answer = client.predict(endpoint, payload)
    show(answer, as_json, answer_view)


@contextmanager
def told_as(given: str, payload: Any) -> Iterator[None]:
    """A refusal of what went out as text also says why INPUT was not the JSON or the file that it looks like."""
    try:
        yield
    except Unprocessable as error:
        if not isinstance(payload, str) or given == "-":
            raise
        if _is_file(given):
            why = f"{given} holds no JSON"
        elif given.lstrip().startswith(("{", "[")):
            why = "INPUT is not valid JSON"
        else:
            why = f"INPUT is neither JSON nor a file ({given[:80]!r})"
        raise Unprocessable(f"{why}, so it was sent as text: {error.message}") from None


def read_input(given: str) -> Any:
    """JSON where it is JSON, else text, else an image's bytes; from stdin (`-`), a file, or the argument itself."""
    if given == "-":
        return _decoded(sys.stdin.buffer.read())
    if not given.lstrip().startswith(("{", "[", '"')) and _is_file(given):
        return _decoded(Path(given).read_bytes())
    return _decoded(given.encode())


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except OSError:  # too long for a name: it is text
        return False


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        pass
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        return data


def _is_step(value: Any) -> bool:
    """One step of a forecast: its value, or those of several targets."""
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)


def answer_view(answer: Any) -> RenderableType:
    """A list of labels with scores as a table, one row an answer; forecasts step by step; anything else as it is."""
    rows = answer if isinstance(answer, list) else [answer]
    if rows and all(isinstance(row, list) and row and all(map(_is_step, row)) for row in rows):
        steps = [{"row": number, "step": step + 1, "value": value}
                 for number, row in enumerate(rows) for step, value in enumerate(row)]  # fmt: skip
        headings = ("row", "step", "value") if len(rows) > 1 else ("step", "value")
        return table(steps, {heading.upper(): heading for heading in headings})
    if rows and isinstance(rows[0], list):
        rows = [{"row": number, **one} for number, row in enumerate(rows) for one in row if isinstance(one, dict)]
    if rows and all(isinstance(row, dict) for row in rows):
        keys = list(dict.fromkeys(key for row in rows for key in row))
        return table(rows, {key.upper(): key for key in keys})
    return text(answer)
