"""Payloads are read into frozen types at the door: a wrong one is refused in one sentence, and nothing is posted."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from gristmill.books.events import Event
from gristmill.core.errors import Unprocessable

Said = TypeVar("Said")


def read(event: Event, type_: type[Said]) -> Said:
    """Raises Unprocessable naming the field; fields that are not known are left alone."""
    try:
        return msgspec.convert(event.payload, type_)
    except msgspec.ValidationError as error:
        raise Unprocessable(f"The event {event.kind} cannot be posted: {error}.", got=event.id) from None
