"""The root command knows its commands by name and one line of help; its module is imported when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Entry(NamedTuple):
    name: str
    target: str  # `module:attribute`: a Typer group, or a function that is one command
    help: str


def load(entry: Entry) -> Any:
    """The click command behind `entry`."""
    module, _, attribute = entry.target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        app = found
    else:
        app = typer.Typer(add_completion=False)
        app.command(entry.name)(found)
    app.info.name = entry.name
    return typer.main.get_command(app)


class LazyGroup(TyperGroup):
    """Lists placeholders, resolves to the real thing: `--help` imports no command."""

    entries: Sequence[Entry] = ()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for entry in self.entries:
            self.add_command(TyperCommand(entry.name, help=entry.help))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        entry = next((entry for entry in self.entries if entry.name == name), None)
        return name, load(entry) if entry else command, rest
