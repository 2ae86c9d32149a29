"""kill -9 at every named point of the books, in mid-batch: after the restart nothing is missing or twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.books.check import check
from gristmill.books.usage import cursor, post_usage
from gristmill.store.database import Database
from tests.books.histories import balances, ship, usage

SHIP = "import sys; from tests.books.histories import ship; ship(sys.argv[1])"
POINTS = ["books.in-mid-event", "books.before-usage-rows", "books.before-usage-cursor"]


def killed(url: str, crash_at: str) -> int:
    environment = {**os.environ, "GRISTMILL_CRASH_AT": crash_at}
    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, "-c", SHIP, url], env=environment, cwd=root).returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('calm') / 'books.db'}")
    database.migrate()
    ship(str(database._engine.url))
    return balances(database)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("passing", [1, 3])
def test_a_batch_cut_short_is_shipped_again_whole(
    database: Database, database_url: str, undisturbed: dict[str, int], point: str, passing: int
) -> None:
    assert killed(database_url, f"{point}:{passing}") == 137
    with database.read() as connection:
        assert check(connection).problems == []
        assert check(connection).usage_records == cursor(connection, "gateway")
    ship(database_url)
    with database.write() as connection:
        assert post_usage(connection, "gateway", usage(200), 200) == 0
        found = check(connection)
    assert (found.problems, found.usage_records) == ([], 200)
    assert balances(database) == undisturbed
