"""What benchmarks/company_year.py does to the books in a year, in a fortnight: every report, and sums made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.books.reports.report import REPORTS

pytest.importorskip("duckdb")
from benchmarks.company_year import TENANTS, lived, reported, wrong


def test_every_report_runs_and_agrees_with_sums_of_the_postings_alone(tmp_path: Path) -> None:
    books, counts = lived(tmp_path, days=14)
    assert counts["requests"] > 500
    assert list(wrong(books, tmp_path, days=14)) == []
    assert reported(books).keys() == {str(name) for name in REPORTS}
    assert len(list(tmp_path.glob("*-focus.csv"))) == len(TENANTS)
    books.close()
