"""`gristmill books set-budget|budgets|remove-budget`: how much may be used; `books report budget` shows the burn."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from gristmill.cli.arguments import moment_parser, money_parser
from gristmill.cli.connection import connect
from gristmill.cli.formats import utc
from gristmill.cli.output import AsJson, Fields, show, table
from gristmill.core.budgets import BudgetPeriod

_PLACE = re.compile(r"tenant|(key|project|model|endpoint):.+")


def _place(text: str) -> str:
    if not _PLACE.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is none of tenant, key:ID, project:NAME, model:NAME, endpoint:NAME.")
    return text


Place = Annotated[
    str,
    typer.Argument(metavar="PLACE", help="tenant, key:ID, project:NAME, model:NAME or endpoint:NAME.", parser=_place),
]


def set_budget(
    on: Place,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="How much, as in 120USD.", parser=money_parser)],
    period: Annotated[BudgetPeriod, typer.Option(help="Once, or anew with each month.")] = BudgetPeriod.total,
    begins: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DAY", help="What is used from this day on counts; today otherwise.", parser=moment_parser
        ),
    ] = None,
    hard: Annotated[
        bool, typer.Option("--hard", help="Refuse requests (402) that it has no money for; otherwise it is watched.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set a budget, in place of the one there was."""
    with connect() as client:
        document = client.books.set_budget(on, amount, period=str(period), begins=begins, hard=hard)
    show(document, as_json, lambda _: f"The budget of {on} is {document['amount']}: `gristmill books report budget`.")


def budgets(as_json: AsJson = False) -> None:
    """List the budgets."""
    with connect() as client:
        found = client.books.budgets()
    fields: Fields = {
        "BUDGET": "place",
        "AMOUNT": "amount",
        "PERIOD": "period",
        "KIND": lambda row: "hard" if row["hard"] else "soft",
        "FROM": lambda row: utc(row["begins_at"])[:10],  # whole days are counted
    }
    show(found, as_json, lambda rows: table(rows, fields, empty="No budget yet: `gristmill books set-budget`."))


def remove_budget(on: Place, as_json: AsJson = False) -> None:
    """Remove a budget."""
    with connect() as client:
        document = client.books.remove_budget(on)
    show(document, as_json, lambda _: f"There is no budget of {on} any more.")
