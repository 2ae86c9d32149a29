"""What was bought: services for a run, a model, a version or a dataset; data, for the whole or by the row."""

from __future__ import annotations

from enum import StrEnum

from gristmill.books import events, records
from gristmill.books.people import found_place
from gristmill.books.posting import post
from gristmill.books.records import Connection
from gristmill.core.errors import Unprocessable
from gristmill.core.ids import derived_id, parse_reference
from gristmill.core.money import parse_money


class DataWork(StrEnum):
    """What was paid for of a dataset."""

    bought = "bought"
    labelled = "labelled"
    cleaned = "cleaned"


def buy_service(
    connection: Connection, tenant: str, id_: str, name: str, amount: str, on: str, at: float, *,
    calls: float | None = None,
) -> str:  # fmt: skip
    """`amount` as in `12USD`, `on` as for hours → the event's id; with the same `id_` a retry posts once.

    Raises Unprocessable for what does not exist, a negative amount, an unknown currency.
    """
    money = parse_money(amount)
    place = found_place(connection, tenant, on, "Services")
    event = events.service_bought(
        tenant, derived_id("service.bought", tenant, id_), name, money.micro, money.currency, place, at, calls
    )
    post(connection, event)
    return event.id


def pay_data(
    connection: Connection, tenant: str, id_: str, dataset: str, amount: str, at: float, *,
    what: DataWork = DataWork.bought, by_row: bool = False,
) -> str:  # fmt: skip
    """`dataset` as NAME@N; `by_row`: `amount` is for each row that survived cleaning → the event's id.

    Raises Unprocessable for a dataset version that there is not.
    """
    name, version = parse_reference(dataset, "dataset")
    number = int(version) if version is not None and version.isdecimal() else 0
    rows = records.dataset_rows(connection, tenant, name, number)
    if rows is None:
        raise Unprocessable(f"There is no dataset version {dataset!r}: write NAME@N.", field="dataset", got=dataset)
    paid = derived_id("data.paid", tenant, id_)
    event = events.data_paid(tenant, paid, f"{name}@{number}", str(what), rows, amount, at, by_row)
    post(connection, event)
    return event.id
