"""Arguments that several commands take, checked where they are read: what the line alone shows to be wrong exits 2."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from gristmill.core.errors import GristmillError
from gristmill.core.ids import parse_reference
from gristmill.core.money import parse_money
from gristmill.core.periods import begin, month


@contextmanager
def stated() -> Iterator[None]:
    """What is wrong in here the arguments alone show: it exits 2."""
    try:
        yield
    except GristmillError as error:
        raise typer.BadParameter(error.message) from None


def checked(check: Callable[[str], Any]) -> Callable[[str], str]:
    """A parser that keeps the text and turns `check`'s error into one of the command line."""

    def parse(text: str) -> str:
        with stated():
            check(text)
        return text

    return parse


def _dataset_reference(text: str) -> None:
    version = parse_reference(text, "dataset")[1]
    if version is not None and not version.isdecimal():
        raise typer.BadParameter(f"a dataset's version is a number, and {version!r} is none.")


def _whole_dataset(text: str) -> None:
    _dataset_reference(text)
    if parse_reference(text, "dataset")[1] is None:
        raise typer.BadParameter(f"write NAME@VERSION, as in {text}@1.")


def _whole_reference(text: str) -> None:
    if parse_reference(text)[1] is None:
        raise typer.BadParameter(f"write NAME@VERSION, as in {text}@1.")


def split(reference: str) -> tuple[str, str]:
    """A checked NAME@VERSION → its two parts."""
    name, _, version = reference.partition("@")
    return name, version


def assignment(example: str) -> Callable[[str], str]:
    """A parser of FIELD=VALUE, which it keeps."""

    def parse(text: str) -> str:
        name, equals, _ = text.partition("=")
        if not (equals and name.strip()):
            raise typer.BadParameter(f"{text!r} is no FIELD=VALUE, as in {example}.")
        return text

    return parse


def number(what: str, most: float = math.inf, above_0: bool = False) -> Callable[[str], float]:
    """A parser of numbers from 0 to `most`, or `above_0`; nan and inf are none."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and 0 <= value <= most and (value or not above_0)):
            end = f"to {most:,.0f}" if math.isfinite(most) else "on"
            zero = " without 0" if above_0 else ""
            raise typer.BadParameter(f"{what} are a number from 0 {end}{zero}, and {text!r} is none.")
        return value

    return parse


def name(text: str) -> str:
    """Raises BadParameter where nothing stands."""
    if not text.strip():
        raise typer.BadParameter("it is empty: write a name.")
    return text


def written(text: str) -> str:
    """Raises BadParameter where nothing stands."""
    if not text.strip():
        raise typer.BadParameter("it is empty: say it in a few words.")
    return text


def in_order(since: str | None, until: str | None) -> None:
    """Raises BadParameter where --to is before --from."""
    if since is not None and until is not None and begin(until, "to") < begin(since, "from"):
        raise typer.BadParameter(f"--to {until} lies before --from {since}: give a later day.")


def replica_count(text: str) -> int | str:
    """`2`, or a range `1..4`. Raises BadParameter."""
    low, dots, high = text.partition("..")
    if not (low.isdecimal() and (not dots or high.isdecimal())):
        raise typer.BadParameter("write a number, or a range such as 1..4.")
    least, most = int(low), int(high or low)
    if not 1 <= least <= most:
        raise typer.BadParameter("at least one replica, and the lower number first, as in 1..4.")
    return text if dots else least


Version = Annotated[
    str, typer.Argument(metavar="NAME@VERSION", help="A model's version.", parser=checked(_whole_reference))
]
Reference = Annotated[
    str,
    typer.Argument(metavar="NAME[@VERSION]", help="A name, or one of its versions.", parser=checked(parse_reference)),
]
Dataset = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@VERSION]", help="A name, or one of its versions.", parser=checked(_dataset_reference)
    ),
]
Cost = Annotated[
    str | None,
    typer.Option("--cost", metavar="AMOUNT", help="What it cost, as in 120USD.", parser=checked(parse_money)),
]
reference_parser = checked(_whole_reference)
dataset_version_parser = checked(_whole_dataset)
money_parser = checked(parse_money)
month_parser = checked(month)
moment_parser = checked(lambda text: begin(text, "this"))
Amount = Annotated[str, typer.Option(metavar="AMOUNT", help="How much, as in 12USD.", parser=money_parser)]
