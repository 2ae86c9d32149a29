"""The books as files for other programs: a table as CSV or Parquet, written part by part; FOCUS; DuckDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from gristmill.books import records
from gristmill.books.duckdb_file import write_duckdb
from gristmill.books.focus import write_focus
from gristmill.books.records import Connection, Row
from gristmill.core.errors import Unprocessable
from gristmill.core.reports import ExportForm
from gristmill.core.sold import TOKEN_CLASSES

_ROWS_A_PART = 20_000
_INT, _FLOAT, _BOOL, _TEXT = pa.int64(), pa.float64(), pa.bool_(), pa.string()
_TYPES = {
    "number": _INT, "micro": _INT, "status": _INT, "items": _INT, "compute_us": _INT, "latency_us": _INT,
    "first_token_us": _INT, "per_token_us": _INT, "energy_uj": _INT,
    "bytes_in": _INT, "bytes_out": _INT, "quantity": _FLOAT, "error": _FLOAT, "happened_at": _FLOAT,
    "recorded_at": _FLOAT, "unpriced": _BOOL, "cached": _BOOL,
}  # fmt: skip
_TOKENS = {f"{kind}_tokens": kind for kind in TOKEN_CLASSES}  # disjoint: all together are what a text took


def export(connection: Connection, tenant: str, table: str, form: str, path: Path) -> None:
    """Write `postings`, `usage` or `events` of a tenant to `path`; JSON fields as JSON text. Raises Unprocessable.

    FOCUS and DuckDB are of all the books, whatever the table.
    """
    if table not in records.TABLES:
        raise Unprocessable(f"{table!r} cannot be exported: tables are {', '.join(records.TABLES)}.", field="table")
    if form not in _WRITERS:
        raise Unprocessable(f"{form!r} is no form of export: forms are {', '.join(_WRITERS)}.", field="format")
    _WRITERS[ExportForm(form)](connection, tenant, table, path)


def parts(connection: Connection, tenant: str, table: str) -> Iterator[Any]:
    """A whole table as Arrow tables of one schema, the first of them empty; tokens of usage by class, too."""
    types = {column.name: _TYPES.get(column.name, _TEXT) for column in records.TABLES[table].c}
    schema = pa.schema(list((types | (dict.fromkeys(_TOKENS, _INT) if "tokens" in types else {})).items()))
    yield schema.empty_table()
    for rows in records.table_rows(connection, table, tenant, _ROWS_A_PART):
        yield _part(rows, schema)


def _write_csv(connection: Connection, tenant: str, table: str, path: Path) -> None:
    _write(parts(connection, tenant, table), lambda schema: pyarrow.csv.CSVWriter(path, schema))


def _write_parquet(connection: Connection, tenant: str, table: str, path: Path) -> None:
    _write(
        parts(connection, tenant, table),
        lambda schema: pyarrow.parquet.ParquetWriter(path, schema, compression="zstd"),
    )


def _write(tables: Iterator[Any], opened: Callable[[Any], Any]) -> None:
    first = next(tables)
    with opened(first.schema) as writer:
        for part in tables:
            writer.write_table(part)


def _part(rows: Sequence[Row], schema: Any) -> Any:
    columns = {field.name: [_value(row, field.name) for row in rows] for field in schema}
    return pa.table(columns, schema=schema)


def _value(row: Row, name: str) -> Any:
    return row["tokens"].get(_TOKENS[name], 0) if name in _TOKENS else _plain(row[name])


def _plain(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def _write_focus(connection: Connection, tenant: str, table: str, path: Path) -> None:
    write_focus(connection, tenant, ExportForm.focus, path)


def _write_focus_parquet(connection: Connection, tenant: str, table: str, path: Path) -> None:
    write_focus(connection, tenant, ExportForm.focus_parquet, path)


def _write_duckdb(connection: Connection, tenant: str, table: str, path: Path) -> None:
    write_duckdb({name: partial(parts, connection, tenant, name) for name in records.TABLES}, path)


_WRITERS: dict[ExportForm, Callable[[Connection, str, str, Path], None]] = {
    ExportForm.csv: _write_csv,
    ExportForm.parquet: _write_parquet,
    ExportForm.focus: _write_focus,
    ExportForm.focus_parquet: _write_focus_parquet,
    ExportForm.duckdb: _write_duckdb,
}
