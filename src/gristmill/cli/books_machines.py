"""`gristmill books compute|hardware`: machines that Gristmill did not grant, told to the books."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from gristmill.cli.arguments import Amount, checked, money_parser, number
from gristmill.cli.books_inputs import At, Id, On
from gristmill.cli.connection import connect
from gristmill.cli.output import AsJson, show
from gristmill.core.ids import check_name
from gristmill.core.prices import parse_share

_MOST = 1e12


class Known(StrEnum):
    measured = "measured"
    modelled = "modelled"
    assumed = "assumed"


def _pue(text: str) -> float:
    value = number("a PUE", most=10)(text)
    if value < 1:
        raise typer.BadParameter(
            f"a building takes no less than its machines: a PUE is 1 or more, and {text!r} is less."
        )
    return value


def _named(what: str) -> Any:
    return typer.Option(metavar="NAME", help=f"{what}, as in a rate of its own.", parser=checked(_name))


def _name(text: str) -> None:
    check_name(text, "qualifying")


def _hours(of: str) -> Any:
    return typer.Option(metavar="NUMBER", help=f"Hours of {of}.", parser=number("hours", most=_MOST))


def compute(
    on: On,
    gpu_hours: Annotated[float | None, _hours("GPUs")] = None,
    core_hours: Annotated[float | None, _hours("cores")] = None,
    gib_hours: Annotated[float | None, _hours("GiB of memory")] = None,
    kwh: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Energy of the machines.", parser=number("kWh", most=_MOST))
    ] = None,
    pue: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="The building's electricity over its machines', as in 1.2.", parser=_pue),
    ] = None,
    embodied_kg: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER", help="CO2 of making the hardware, this use's share.", parser=number("kg", most=_MOST)
        ),
    ] = None,
    hardware: Annotated[str | None, _named("Whose hours, priced as compute.gpu:NAME")] = None,
    site: Annotated[str | None, _named("Where, priced and emitting as energy.electricity:NAME")] = None,
    basis: Annotated[Known, typer.Option(help="How it is known.")] = Known.assumed,
    error: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Half width of its 95 % band, as in 0.1.", parser=number("errors", most=1)),
    ] = None,
    at: At = None,
    id_: Id = None,
    as_json: AsJson = False,
) -> None:
    """Enter machine time that was used elsewhere: a cloud's, a cluster's, before Gristmill."""
    if not any((gpu_hours, core_hours, gib_hours, kwh, embodied_kg)):
        raise typer.BadParameter("Say what was used: --gpu-hours, --core-hours, --gib-hours, --kwh or --embodied-kg.")
    if pue is not None and kwh is None:
        raise typer.BadParameter("--pue goes with --kwh: it is of the machines' energy.")
    used = {"gpu_hours": gpu_hours, "core_hours": core_hours, "gib_hours": gib_hours, "kwh": kwh, "pue": pue,
            "embodied_kg": embodied_kg, "hardware": hardware, "site": site, "basis": str(basis),
            "error": error}  # fmt: skip
    with connect() as client:
        document = client.books.declare_compute(on, **used, at=at, id=id_)
    show(document, as_json, lambda _: f"Machine time on {on} is in the books.")


def hardware(
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Which hardware, as in interconnect.", parser=checked(_name))
    ],
    amount: Amount,
    life_days: Annotated[
        float,
        typer.Option(metavar="NUMBER", help="Days that it serves.", parser=number("days", most=999_999, above_0=True)),
    ],
    days: Annotated[
        float,
        typer.Option(metavar="NUMBER", help="Days of this use.", parser=number("days", most=999_999, above_0=True)),
    ],
    on: On,
    left: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="What it is worth after its life; nothing otherwise.", parser=money_parser),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Of the hardware, as in 0.25; all otherwise.", parser=checked(parse_share)),
    ] = None,
    at: At = None,
    id_: Id = None,
    as_json: AsJson = False,
) -> None:
    """Enter the use of bought hardware: its straight-line share of what it loses over its life."""
    if days > life_days:
        raise typer.BadParameter(f"The {days:g} days of use are more than the life of {life_days:g} days.")
    with connect() as client:
        document = client.books.use_hardware(name, amount, on, life_days, days, left=left, share=share, at=at, id=id_)
    show(document, as_json, lambda _: f"{days:g} days of {name} on {on} are in the books.")
