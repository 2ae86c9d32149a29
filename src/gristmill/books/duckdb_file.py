"""The books as one DuckDB file: the tables as they are, and views that say what is asked most."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gristmill.core.errors import Unprocessable

# money in the currency's own units, as DECIMAL(38, 6): no float touches an amount here either (a division makes one)
_MONEY = "CAST(sum(micro) AS DECIMAL(32, 0)) * CAST('0.000001' AS DECIMAL(6, 6))"
_VIEWS = {
    "daily": f"""SELECT CAST(to_timestamp(happened_at) AT TIME ZONE 'UTC' AS DATE) AS day, account, item, currency,
        {_MONEY} AS amount, sum(quantity) AS quantity FROM postings GROUP BY ALL""",
    "cost_by_version": f"""SELECT version, split_part(item, '.', 1) AS input, currency, {_MONEY} AS amount
        FROM postings WHERE account LIKE 'assets:version:%' AND currency <> 'XXX' GROUP BY ALL""",
    "revenue_by_model": f"""SELECT model, currency, -({_MONEY}) AS amount
        FROM postings WHERE account LIKE 'revenue:%' AND currency <> 'XXX' GROUP BY ALL""",
    "charges": f"""SELECT strftime(to_timestamp(happened_at) AT TIME ZONE 'UTC', '%Y-%m') AS month, endpoint, item,
        rate, currency, sum(quantity) AS quantity, {_MONEY} AS amount
        FROM postings WHERE account LIKE 'receivable:%' GROUP BY ALL""",
}


def write_duckdb(tables: dict[str, Callable[[], Iterator[Any]]], path: Path) -> None:
    """`tables`: by name, Arrow tables of one schema, part by part. Raises Unprocessable without duckdb."""
    try:
        duckdb = importlib.import_module("duckdb")
    except ImportError:
        raise Unprocessable("A DuckDB file needs duckdb: install it with `pip install 'gristmill[books]'`.") from None
    connection = duckdb.connect(str(path))
    try:
        for name, parts in tables.items():
            for number, part in enumerate(parts()):
                connection.register("part", part)
                connection.execute(f"{'INSERT INTO' if number else 'CREATE TABLE'} {name} "
                                   f"{'SELECT' if number else 'AS SELECT'} * FROM part")  # fmt: skip
                connection.unregister("part")
        for name, query in _VIEWS.items():
            connection.execute(f"CREATE VIEW {name} AS {query}")
    finally:
        connection.close()
