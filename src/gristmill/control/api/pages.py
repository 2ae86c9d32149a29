"""What says which part of a file is asked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Offset = Annotated[int, Query(ge=0)]
Lines = Annotated[int | None, Query(ge=0, le=1_000_000)]
