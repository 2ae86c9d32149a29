"""Usage records into the books: records a second on SQLite and PostgreSQL, then the check and the reports over them.

    python -m benchmarks.shipping [--records 200000]

To reach (issue 5): 20,000 records a second on SQLite, 10,000 on PostgreSQL, 2 cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tests.postgres import postgres

from gristmill.books import events
from gristmill.books.check import check
from gristmill.books.posting import post
from gristmill.books.reports.report import REPORTS, report
from gristmill.books.usage import post_usage
from gristmill.core.types import UsageRecord
from gristmill.store.database import Database

BATCH = 5_000  # records of one transaction, as the controller's shipper has it
KEYS, MODELS = 5, 8
NOON = 1_700_000_000.0


def records(count: int) -> list[UsageRecord]:
    """Of 5 keys and 8 models, one in twenty refused, over an hour."""
    return [
        UsageRecord(
            id=f"req_{number:026d}", tenant="mill", key=f"k{number % KEYS}", endpoint=f"e{number % MODELS}",
            model=f"m{number % MODELS}@1", digest="sha256:0", operation="infer",
            status=422 if number % 20 == 0 else 200,
            happened_at=NOON + number * 3600 / count, items=1 + number % 3, compute_us=150, latency_us=900,
            bytes_in=300, bytes_out=90,
        )
        for number in range(count)
    ]  # fmt: skip


def shipped(url: str, count: int) -> dict[str, Any]:
    """Records a second, and seconds of the check and of all reports, on an empty database."""
    database = Database(url)
    database.migrate()
    with database.write() as connection:
        for model in range(MODELS):
            post(connection, events.version_made("mill", f"m{model}", 1, None, [], NOON))
    batch = records(count)
    started = time.perf_counter()
    for start in range(0, count, BATCH):
        with database.write() as connection:
            post_usage(connection, "gateway", batch[start : start + BATCH], start + BATCH)
    took = time.perf_counter() - started
    with database.read() as connection:
        begun = time.perf_counter()
        found = check(connection)
        checked = time.perf_counter()
        for name in REPORTS:
            report(connection, "mill", name)
        reported = time.perf_counter()
    assert not found.problems, found.problems
    assert found.usage_records == count
    database.close()
    return {
        "database": database.dialect,
        "records": count,
        "postings": found.postings,
        "records_a_second": round(count / took),
        "check_s": round(checked - begun, 3),
        "all_reports_s": round(reported - checked, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    count = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder, nullcontext(f"sqlite:///{Path(folder) / 'books.db'}") as url:
        print(json.dumps(shipped(url, count)))
    with postgres() as url:
        print(json.dumps(shipped(url, count)))


if __name__ == "__main__":
    main()
