"""The ledger: reports over 10 million postings on SQLite, and a history of 10,000 events of every kind.

    python -m benchmarks.ledger [--postings 10000000] [--events 10000]

To reach (issue 5): each report within 2 s; any history balances, keeps its identities and is the same when replayed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.books.random_history import Company, identities

from gristmill.books import rate_cards, records
from gristmill.books.check import check
from gristmill.books.replay import replay
from gristmill.books.reports.report import REPORTS, report
from gristmill.core.reports import Breakdown, ReportName
from gristmill.store.database import Database

TENANT, DAYS, ENDPOINTS, KEYS = "mill", 365, 40, 4
FIRST_DAY, DAY_S = 19_600, 86_400
_DIMENSIONS = ("account", "item", "currency", "unit", "rate", "model", "version", "endpoint", "run")
# of one endpoint on one day; each line stands in as many postings as there are ticks in the day
_LINES = """
CREATE TEMP TABLE lines AS
WITH RECURSIVE days(day) AS (SELECT {first} UNION ALL SELECT day + 1 FROM days WHERE day < {first} + {days} - 1),
endpoints(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM endpoints WHERE number < {endpoints} - 1),
keys(key) AS (SELECT 0 UNION ALL SELECT key + 1 FROM keys WHERE key < {keys} - 1),
pairs(kind, account, counter, item, currency, unit, quantity, micro, rate) AS (VALUES
  ('cost', 'served:m', 'inputs:compute', 'compute.cpu', 'USD', 'core_second', 30.0, 333, '{cpu}'),
  ('cost', 'served:m', 'inputs:compute', 'compute.memory', 'USD', 'gib_second', 60.0, 83, '{memory}'),
  ('cost', 'served:m', 'inputs:energy', 'energy.electricity', 'USD', 'kwh', 0.0001, 15, '{energy}'),
  ('cost', 'served:m', 'emissions:electricity', 'emissions.electricity', 'XXX', 'g_co2e', 0.0445, 0, '{grid}'),
  ('cost', 'idle:endpoint:e', 'inputs:compute', 'compute.cpu', 'USD', 'core_second', 10.0, 111, '{cpu}'),
  ('cost', 'assets:version:m', 'inputs:compute', 'compute.gpu', 'USD', 'gpu_second', 2.0, 1388, '{gpu}'),
  ('cost', 'served:m', 'amortised:version:m', 'amortisation', 'USD', 'prediction', 9.0, 900, ''),
  ('count', 'units:requests:m', '', 'infer.2xx', 'XXX', 'request', 9.0, 0, ''),
  ('count', 'units:served:m', '', 'infer', 'XXX', 'prediction', 9.0, 0, ''),
  ('sold', 'receivable:k', 'revenue:m', 'serving.request', 'USD', 'request', 3.0, 150, '{request}'),
  ('sold', 'receivable:k', 'revenue:m', 'serving.prediction', 'USD', 'prediction', 3.0, 300, '{prediction}')),
each(day, number, key, account, counter, item, currency, unit, quantity, micro, rate) AS (
  SELECT day, number, -1, account, counter, item, currency, unit, quantity, micro, rate FROM days, endpoints, pairs
  WHERE kind != 'sold'
  UNION ALL
  SELECT day, number, key, account, counter, item, currency, unit, quantity, micro, rate
  FROM days, endpoints, keys, pairs WHERE kind = 'sold'),
named AS (SELECT *, 'm' || number AS model, 'm' || number || '@1' AS version, 'e' || number AS endpoint FROM each)
SELECT day, item, currency, unit, rate, model, version, endpoint, '' AS run, micro, quantity,
  day || '.' || number AS event, CASE account WHEN 'served:m' THEN 'served:' || version
    WHEN 'idle:endpoint:e' THEN 'idle:endpoint:' || endpoint
    WHEN 'receivable:k' THEN 'receivable:k' || key ELSE account || substr(version, 2) END AS account
FROM named
UNION ALL
SELECT day, item, currency, unit, rate, model, version, endpoint, '', -micro, -quantity, day || '.' || number,
  CASE counter WHEN 'amortised:version:m' THEN 'amortised:version:' || version WHEN 'revenue:m' THEN 'revenue:' || model
    ELSE counter END
FROM named WHERE counter != ''
"""


def filled(database: Database, postings: int) -> dict[str, int]:
    """A year of 40 endpoints, their versions' costs and revenue, in `postings` lines; written past the rules."""
    with database.write() as connection:
        rates = {rate.item: rate.id for rate in rate_cards.seeded(connection, TENANT)}
        grid = next(rate.id for rate in rate_cards.known(connection, TENANT) if rate.card == "emissions")
        connection.exec_driver_sql(
            _LINES.format(first=FIRST_DAY, days=DAYS, endpoints=ENDPOINTS, keys=KEYS, cpu=rates["compute.cpu"],
                          memory=rates["compute.memory"], gpu=rates["compute.gpu"],
                          energy=rates["energy.electricity"], grid=grid, request=rates["serving.request"],
                          prediction=rates["serving.prediction"])
        )  # fmt: skip
        lines = int(connection.exec_driver_sql("SELECT count(*) FROM lines").scalar_one())
        ticks = max(1, round(postings / lines))
        connection.exec_driver_sql(
            "CREATE TEMP TABLE ticks AS WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t"
            f" WHERE n < {ticks}) SELECT n, n * {DAY_S} / ({ticks} + 1.0) AS at FROM t"
        )
        _write(connection)
    return {"postings": lines * ticks, "balances": lines}


def _write(connection: Any) -> None:
    indexes = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'postings' AND sql IS NOT NULL"
    ).all()
    for name, _ in indexes:  # made again afterwards: to sort once is faster than to insert in no order
        connection.exec_driver_sql(f"DROP INDEX {name}")
    at, dimensions = f"day * {DAY_S} + at", ", ".join(_DIMENSIONS)
    connection.exec_driver_sql(
        "INSERT INTO events (id, tenant, kind, payload_hash, payload, happened_at, recorded_at)"
        f" SELECT DISTINCT event || '.' || n, '{TENANT}', 'usage.posted', '', '{{}}', {at}, {at} FROM lines, ticks"
    )
    connection.exec_driver_sql(
        "INSERT INTO postings (event, tenant, account, micro, currency, quantity, unit, basis, rate, unpriced,"
        f" happened_at, model, version, endpoint, item) SELECT event || '.' || n, '{TENANT}', account, micro, currency,"
        f" quantity, unit, 'measured', nullif(rate, ''), 0, {at}, model, version, endpoint, item FROM lines, ticks"
    )
    for table, span in (("balances", "day, "), ("totals", "")):
        connection.exec_driver_sql(
            f"INSERT INTO {table} (key, tenant, basis, unpriced, micro, quantity, unknown, entries, {span}{dimensions})"
            f" SELECT {span.replace(', ', ' || ')}account || item || version || endpoint, '{TENANT}', 'measured', 0,"
            f" sum(micro) * n, sum(quantity) * n, 0, sum(n), {span}{dimensions}"
            f" FROM lines, (SELECT count(*) AS n FROM ticks) GROUP BY {span}{dimensions}"
        )
    for _, statement in indexes:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("ANALYZE")


def reported(postings: int) -> dict[str, Any]:
    """Seconds of each report, and of the bookings by which they were made."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'gristmill.db'}")
        database.migrate()
        started = time.perf_counter()
        counts: dict[str, Any] = dict(filled(database, postings))
        counts["filled_s"] = round(time.perf_counter() - started, 1)
        counts["all_time_s"] = {str(name): _timed(database, name) for name in REPORTS}
        month = {"since": (FIRST_DAY + 200) * DAY_S, "until": (FIRST_DAY + 230) * DAY_S}
        counts["a_month_s"] = {str(name): _timed(database, name, **month) for name in REPORTS}
        counts["margin_by_month_s"] = _timed(database, ReportName.margin, by=Breakdown.month)
        database.close()
    return counts


def _timed(database: Database, name: ReportName, **filters: Any) -> float:
    with database.read() as connection:
        started = time.perf_counter()
        report(connection, TENANT, name, **filters)
        return round(time.perf_counter() - started, 3)


def lived(events: int, seed: int = 1) -> dict[str, Any]:
    """A random history: seconds to post, to check and to replay it; what was found wrong (nothing)."""
    with tempfile.TemporaryDirectory() as folder:
        books, again = (Database(f"sqlite:///{Path(folder) / name}.db") for name in ("books", "again"))
        books.migrate()
        again.migrate()
        company = Company(seed)
        started = time.perf_counter()
        with books.write() as connection:
            for _ in range(events):
                company.step(connection)
        posted = time.perf_counter() - started
        with books.read() as connection, again.write() as target:
            started = time.perf_counter()
            found = check(connection)
            wrong = [*found.problems, *identities(connection)]
            checked = time.perf_counter() - started
            replayed = replay(connection, target)
            same = _sums(connection) == _sums(target)
        books.close()
        again.close()
    return {"steps": events, "events": found.events, "postings": found.postings, "posted_s": round(posted, 1),
            "checked_s": round(checked, 2), "problems": wrong, "replayed": replayed, "replay_is_the_same": same,
            "steps_by_kind": dict(company.counts)}  # fmt: skip


def _sums(connection: Any) -> list[Any]:
    rows = records.sums(connection, Company.tenant, ("account", "item", "currency", "rate", "version", "run"))
    return [{**row, "quantity": round(row["quantity"], 6), "band": round(row["band"], 6)} for row in rows]


def main() -> None:
    """Print both as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postings", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=10_000)
    asked = parser.parse_args()
    print(json.dumps({"history": lived(asked.events), "reports": reported(asked.postings)}, indent=2))


if __name__ == "__main__":
    main()
