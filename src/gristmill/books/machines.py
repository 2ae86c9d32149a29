"""Machines that Gristmill did not grant: their hours and energy, and the wear of those that were bought."""

from __future__ import annotations

from typing import Any

from gristmill.books import events
from gristmill.books.people import found_place
from gristmill.books.posting import post
from gristmill.books.records import Connection
from gristmill.core.errors import Unprocessable
from gristmill.core.ids import check_name, derived_id
from gristmill.core.money import parse_money


def declare_compute(
    connection: Connection, tenant: str, id_: str, on: str, at: float, *, hardware: str = "", site: str = "",
    **used: Any,
) -> str:  # fmt: skip
    """`used`: gpu_hours, core_hours, gib_hours, kwh, pue, embodied_kg, basis, error → the event's id.

    With the same `id_` a retry posts once. Raises Unprocessable for what does not exist, and where nothing was used.
    """
    for what, name in (("hardware", hardware), ("site", site)):
        if name:
            check_name(name, what)
    said = {"on": found_place(connection, tenant, on, "Machine time"), "hardware": hardware, "site": site, **used}
    event = events.compute_declared(tenant, derived_id("compute.declared", tenant, id_), said, at)
    post(connection, event)
    return event.id


def use_hardware(
    connection: Connection, tenant: str, id_: str, name: str, amount: str, on: str, at: float, *, life_days: float,
    days: float, left: str | None = None, share: str = "1",
) -> str:  # fmt: skip
    """Bought for `amount` (`400000USD`), worth `left` after `life_days`, used for `days` of them → the event's id.

    `share` of it, where others used the rest. Raises Unprocessable.
    """
    cost = parse_money(amount)
    worth = parse_money(left) if left is not None else parse_money(f"0{cost.currency}")
    if worth.currency != cost.currency:
        raise Unprocessable(f"What is left is in {worth.currency}, and it was bought in {cost.currency}: name both in "
                            f"one currency.", field="left")  # fmt: skip
    said = {"name": name, "cost_micro": cost.micro, "left_micro": worth.micro, "currency": cost.currency,
            "life_days": life_days, "days": days, "on": found_place(connection, tenant, on, "Hardware"),
            "share": share}  # fmt: skip
    event = events.hardware_used(tenant, derived_id("hardware.used", tenant, id_), said, at)
    post(connection, event)
    return event.id
