"""The command line's reference page, made from the commands themselves: `python -m gristmill.cli.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup

from gristmill.cli.lazy_group import load
from gristmill.cli.main import COMMANDS

_INTRODUCTION = """# Command line

Every command takes `--json` and then prints one JSON document on stdout and nothing else. Errors go to stderr as one
plain sentence that says what to do. The exit status is 0, 1 (failed) or 2 (bad arguments: what the command line alone
shows to be wrong; a recipe or dataset that is refused is a failure, 1).

The home folder is `--home`, `$GRISTMILL_HOME` or `~/.gristmill`; settings come from its `settings.toml`, then from
`GRISTMILL_*` variables. `GRISTMILL_URL` and `GRISTMILL_API_KEY` point the client at a platform elsewhere.

<!-- Made by `make docs`; change the commands' own help instead. -->
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [_INTRODUCTION]
    for entry in COMMANDS:
        parts += _described(load(entry), f"gristmill {entry.name}", level=2)
    return "\n".join(parts)


def _described(command: Any, path: str, level: int) -> Iterator[str]:
    yield f"{'#' * level} {path}\n"
    yield f"{_one_line(command.help)}\n"
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _described(inner, f"{path} {name}", level + 1)
        return
    yield f"```\n{path} {_usage(command)}\n```\n"
    rows = [row for parameter in command.params if (row := _row(parameter))]
    if rows:
        yield "| | |\n|---|---|\n" + "\n".join(rows) + "\n"


def _usage(command: Any) -> str:
    arguments = [_name(one) for one in command.params if one.param_type_name == "argument"]
    return " ".join([*arguments, "[OPTIONS]"])


def _name(argument: Any) -> str:
    name = argument.metavar or argument.name.strip("_").upper()
    return name if argument.required else f"[{name}]"


def _row(parameter: Any) -> str | None:
    """One line of the table; None for an option that every command has."""
    if parameter.param_type_name == "argument":
        return f"| `{_name(parameter)}` | {_cell(parameter.help)} |"
    if parameter.name in ("help", "as_json"):
        return None
    default = (
        ""
        if parameter.default in (None, False, True, []) or parameter.required
        else f" Default: `{parameter.default}`."
    )
    needed = " Required." if parameter.required else ""
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    return f"| {names} | {_cell(parameter.help)}{needed}{default} |"


def _cell(text: str | None) -> str:
    return _one_line(text).replace("|", "\\|")


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    sys.stdout.write(page())
