"""`gristmill books hours|services|data`: inputs that people tell the books."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from gristmill.cli.arguments import Amount, checked, dataset_version_parser, moment_parser, money_parser, name, number
from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, show
from gristmill.core.ids import check_name

service_parser = checked(lambda text: check_name(name(text), "service"))

On = Annotated[
    str, typer.Option(help="On what: a run's id, NAME@VERSION, a model's or dataset's name, or team (shared).")
]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="DAY", help="When, as in 2026-11-23; now otherwise.", parser=moment_parser),
]
Id = Annotated[str | None, typer.Option("--id", help="The work's own id: told twice, it counts once.")]


class What(StrEnum):
    bought = "bought"
    labelled = "labelled"
    cleaned = "cleaned"


def hours(
    who: Annotated[str, typer.Option(metavar="NAME", help="Who worked: a team, a role, a person.", parser=name)],
    hours: Annotated[
        float,
        typer.Option(metavar="NUMBER", help="How many hours.", parser=number("hours", most=1_000_000, above_0=True)),
    ],
    on: On,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT", help="What an hour costs, as in 80USD; the rate card's otherwise.", parser=money_parser
        ),
    ] = None,
    at: At = None,
    id_: Id = None,
    as_json: AsJson = False,
) -> None:
    """Declare people's hours: they are an input like any other."""
    with connect() as client:
        document = client.books.declare_hours(who, hours, on, rate=rate, at=at, id=id_)
    show(document, as_json, lambda _: f"{hours:g} hours of {who} on {on} are in the books.")


def services(
    service: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Which service, as in search-api.", parser=service_parser)
    ],
    amount: Amount,
    on: On,
    calls: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="How many calls, where somebody counted.", parser=number("calls")),
    ] = None,
    at: At = None,
    id_: Id = None,
    as_json: AsJson = False,
) -> None:
    """Enter a service that was bought: calls of an API, a licence."""
    with connect() as client:
        document = client.books.buy_service(service, amount, on, calls=calls, at=at, id=id_)
    show(document, as_json, lambda _: f"{amount} of {service} on {on} are in the books.")


def data(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="NAME@VERSION", help="The dataset version, as in digits@1.", parser=dataset_version_parser
        ),
    ],
    amount: Amount,
    by_row: Annotated[
        bool, typer.Option("--by-row", help="The amount is for each row that survived cleaning.")
    ] = False,
    what: Annotated[What, typer.Option(help="What was paid for.")] = What.bought,
    at: At = None,
    id_: Id = None,
    as_json: AsJson = False,
) -> None:
    """Enter what was paid for a dataset after it was added: bought, labelled or cleaned."""
    with connect() as client:
        document = client.books.pay_data(dataset, amount, what=str(what), by_row=by_row, at=at, id=id_)
    each = " a row" if by_row else ""
    show(document, as_json, lambda _: f"{amount}{each} for {dataset} ({what}) are in the books.")
