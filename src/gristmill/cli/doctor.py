"""`gristmill doctor`: what is wrong with this machine, and what to do about it."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from gristmill.cli.checks import CHECKS
from gristmill.cli.failure import Failed
from gristmill.cli.output import AsJson, Fields, show, table
from gristmill.core.settings import load_settings

_MARKS = {"ok": Text("✓", "green"), "warn": Text("!", "yellow"), "fail": Text("✗", "red")}


def doctor(as_json: AsJson = False) -> None:
    """Check this machine: each line is ok, warn or fail, and says what to do. Exits 1 when something fails."""
    settings = load_settings()
    found = [{"name": name, **check(settings)._asdict()} for name, check in CHECKS.items()]
    states = {line["state"] for line in found}
    state = next((state for state in ("fail", "warn") if state in states), "ok")
    show({"state": state, "checks": found}, as_json, _view)
    if state == "fail":
        raise Failed("Something here keeps Gristmill from working: the lines with ✗ say what to do.")


def _view(document: dict[str, Any]) -> RenderableType:
    fields: Fields = {
        "": lambda line: _MARKS[line["state"]],
        "CHECK": "name",
        "FOUND": lambda line: " ".join(part for part in (line["found"], line["advice"]) if part),
    }
    return table(document["checks"], fields)
