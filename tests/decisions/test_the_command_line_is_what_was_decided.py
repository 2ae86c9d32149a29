"""The surface that scripts rely on. To change it: change DESIGN section 5, then the list here, then `make docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

from gristmill.cli.lazy_group import load
from gristmill.cli.main import COMMANDS
from gristmill.cli.reference import page

SURFACE = """
up, down, status, doctor, demo, train, evaluate, deploy, predict, chat, explain, forecast,
data add, data list, data show, data profile,
runs list, runs show, runs logs, runs watch, runs cancel, runs resume,
models list, models show, models import, models convert, models export, models verify, models retire, models alias,
models compare,
endpoints list, endpoints show, endpoints logs, endpoints rollback, endpoints scale, endpoints delete,
endpoints adapters add, endpoints adapters list, endpoints adapters remove,
keys create, keys list, keys revoke, runtimes list, runtimes install, tenants create, tenants list,
books show, books entries, books report, books rates, books hours, books services, books data, books compute,
books hardware, books allocate, books write-down, books inherit, books capitalise, books rerate, books reverse,
books check, books export, books set-budget, books budgets, books remove-budget, books invoice
"""


def commands() -> Iterator[tuple[str, Any]]:
    for entry in COMMANDS:
        yield from inside(entry.name, load(entry))


def inside(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    for inner, other in command.commands.items():
        yield from inside(f"{name} {inner}", other)


def test_the_commands_are_those_of_the_design() -> None:
    assert {name for name, _ in commands()} == {name.strip() for name in SURFACE.split(",")}


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_every_command_takes_json_and_has_help(name: str, command: Any) -> None:
    assert "--json" in {option for parameter in command.params for option in parameter.opts}
    assert command.help
    unexplained = [one.name for one in command.params if not one.help]
    assert unexplained == []


def test_the_help_page_in_the_docs_is_fresh() -> None:
    written = Path(__file__).parents[2] / "docs" / "cli.md"
    assert written.read_text() == page(), "run `make docs`"
