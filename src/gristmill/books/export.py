"""Tables of the books as CSV or Parquet, written part by part."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from gristmill.books import records
from gristmill.books.records import Connection, Row
from gristmill.core.errors import Unprocessable

_ROWS_A_PART = 20_000
_INT, _FLOAT, _BOOL, _TEXT = pa.int64(), pa.float64(), pa.bool_(), pa.string()
_TYPES = {
    "number": _INT, "micro": _INT, "status": _INT, "items": _INT, "compute_us": _INT, "latency_us": _INT,
    "bytes_in": _INT, "bytes_out": _INT, "quantity": _FLOAT, "happened_at": _FLOAT, "recorded_at": _FLOAT,
    "unpriced": _BOOL,
}  # fmt: skip
FORMS = ("csv", "parquet")


def export(connection: Connection, tenant: str, table: str, form: str) -> bytes:
    """`postings`, `usage` or `events` of a tenant; JSON fields as JSON text. Raises Unprocessable."""
    if table not in records.TABLES:
        raise Unprocessable(f"{table!r} cannot be exported: tables are {', '.join(records.TABLES)}.", field="table")
    if form not in FORMS:
        raise Unprocessable(f"{form!r} is no form of export: forms are {', '.join(FORMS)}.", field="format")
    names = [column.name for column in records.TABLES[table].c]
    schema = pa.schema([(name, _TYPES.get(name, _TEXT)) for name in names])
    buffer = io.BytesIO()
    with _writer(buffer, schema, form) as writer:
        for rows in records.table_rows(connection, table, tenant, _ROWS_A_PART):
            writer.write_table(_part(rows, schema))
    return buffer.getvalue()


def _writer(buffer: io.BytesIO, schema: Any, form: str) -> Any:
    if form == "csv":
        return pyarrow.csv.CSVWriter(buffer, schema)
    return pyarrow.parquet.ParquetWriter(buffer, schema, compression="zstd")


def _part(rows: Sequence[Row], schema: Any) -> Any:
    columns = {field.name: [_plain(row[field.name]) for row in rows] for field in schema}
    return pa.table(columns, schema=schema)


def _plain(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
