"""`gristmill chat`: talk to a language model in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, show
from gristmill.client.sync import Client

_HELP = "Type a message. /new begins another conversation, /exit or Ctrl-D ends."
Message = dict[str, Any]


def chat(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint of a language model.")],
    message: Annotated[
        str | None, typer.Argument(metavar="[MESSAGE]", help="One message; else a conversation.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="What the model is told before the conversation.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="0: always the likeliest token.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of an answer, at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Talk to a language model; its answer comes as it is written."""
    told = {"temperature": temperature, "max_tokens": max_tokens}
    parameters = {name: value for name, value in told.items() if value is not None}
    conversation: list[Message] = [{"role": "system", "content": system}] if system else []
    with connect() as client:
        if message is not None or as_json:
            asked = message if message is not None else sys.stdin.read()
            _once(client, endpoint, [*conversation, {"role": "user", "content": asked}], parameters, as_json)
            return
        typer.echo(_HELP, err=True)
        _converse(client, endpoint, conversation, parameters)


def _once(client: Client, endpoint: str, messages: list[Message], parameters: Message, as_json: bool) -> None:
    if not as_json:
        _write(client, endpoint, messages, parameters)
        return
    parts, finish, usage = [], None, None
    for chunk in client.chat(endpoint, messages, stream_options={"include_usage": True}, **parameters):
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            parts.append(choice["delta"].get("content") or "")
            finish = choice["finish_reason"] or finish
    document = {"answer": "".join(parts), "finish_reason": finish, "usage": usage}
    show(document, as_json, lambda shown: shown["answer"])


def _converse(client: Client, endpoint: str, beginning: list[Message], parameters: Message) -> None:
    messages = list(beginning)
    for line in _lines():
        if line == "/new":
            messages = list(beginning)
            continue
        messages.append({"role": "user", "content": line})
        messages.append({"role": "assistant", "content": _write(client, endpoint, messages, parameters)})


def _lines() -> Iterator[str]:
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if line == "/exit":
            return
        if line:
            yield line


def _write(client: Client, endpoint: str, messages: list[Message], parameters: Message) -> str:
    """Print the answer as it comes, and give it whole."""
    parts = []
    for chunk in client.chat(endpoint, messages, **parameters):
        for choice in chunk["choices"]:
            parts.append(choice["delta"].get("content") or "")
            typer.echo(parts[-1], nl=False)
    typer.echo()
    return "".join(parts)
