"""The command line tells times as the books and the logs do, wherever the reader is."""

from __future__ import annotations

import time

import pytest

from gristmill.cli.formats import moment, utc


def test_the_reader_s_time_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert time.timezone == -9 * 3600
        assert moment(1_764_425_451.9) == utc(1_764_425_451.9) == "2025-11-29 14:10:51Z"
        assert (moment(1_764_374_400), utc(1_764_374_400)) == ("2025-11-29 00:00:00Z", "2025-11-29")
    finally:
        monkeypatch.undo()
        time.tzset()
