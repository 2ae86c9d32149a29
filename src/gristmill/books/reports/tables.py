"""A report as a table that other programs read: CSV or Parquet, one row of the report a row."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

_UNIT_COST = pa.decimal128(38, 9)  # money for one unit: text in JSON, a number with nine places here


def as_csv(document: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(_table(document), buffer)
    return buffer.getvalue()


def as_parquet(document: dict[str, Any]) -> bytes:
    """zstd; the report's name and notes are the schema's metadata."""
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(_table(document), buffer, compression="zstd")
    return buffer.getvalue()


def _table(document: dict[str, Any]) -> Any:
    rows = document["rows"]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column(name, [row.get(name) for row in rows]) for name in names}
    said = {"report": document["report"], "notes": document.get("notes", "")}
    return pa.table(columns).replace_schema_metadata(said)


def _column(name: str, values: list[Any]) -> Any:
    if name.endswith("_micro"):
        return pa.array(values, pa.int64())
    if "_per_" in name and any(isinstance(value, str) for value in values):
        return pa.array([None if value is None else Decimal(value) for value in values], _UNIT_COST)
    return pa.array(values)
