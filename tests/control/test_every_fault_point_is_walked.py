"""kill -9 at every named point of a controller's and a gateway's life: what comes after it is whole, and once.

Those of runs are walked in test_runs_are_carried_to_their_end, of checkpoints in tests/lab, of the books in
tests/books.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.books.budgets import set_budget
from gristmill.books.check import check
from gristmill.books.events import dataset_added
from gristmill.books.reports.report import report
from gristmill.control.bookkeeping import tell
from gristmill.control.controller import Controller
from gristmill.control.platform import Platform
from gristmill.core.budgets import BudgetPeriod
from gristmill.core.leases import Lease
from gristmill.core.routes import read_snapshot
from gristmill.core.types import UsageRecord
from gristmill.registry import versions
from gristmill.store.journal import Journal
from tests.control.rig import BY, ROOT, StandInEngine, add_version, open_platform, pid_of, stop_asking, until

POINTS = (
    "blobs.after-put", "bundles.before-unpack", "bundles.after-unpack", "endpoints.before-change",
    "endpoints.after-change", "controller.before-act", "controller.after-act", "journal.before-append",
    "journal.after-append", "shipper.before-events", "shipper.before-usage", "shipper.before-prune",
    "leases.before-grant", "leases.after-grant", "leases.before-settled",
)  # fmt: skip
RECORDS = 20
LEASED = 60  # micro-units that a gateway took and died with


def live(home: Path) -> Platform:
    """Store a version, write the journal, deploy, serve, change and ship; what was done before is not done again."""
    platform = open_platform(home)
    with platform.database.read() as connection:
        stored = versions.list_versions(connection, BY.tenant)
    if not stored:
        add_version(platform, home / "made", "first")
    with platform.database.write() as connection:
        tell(connection, dataset_added(BY.tenant, "wine", 1, 1e9, rows=178, size=9_000, cost_micro=25, currency="USD"))
    Journal(platform.settings.journal / "gw0", 1 << 16).append([record(number) for number in range(RECORDS)])
    engine = StandInEngine()
    controller = Controller(platform, engine)
    if not platform.endpoints(BY.tenant):
        platform.deploy(BY, "wine", {"version": "wine@1"})
    until(controller.step, lambda: platform.endpoint(BY.tenant, "wine")["state"] == "ready")
    platform.scale(BY, "wine", 2)
    until(controller.step, lambda: len(routed(platform)) == 2)
    with platform.database.write() as connection:
        set_budget(connection, BY.tenant, "tenant", "1USD", BudgetPeriod.total, 0, 0, hard=True)
    for life in ("first", "second"):
        wanted = LEASED if life == "first" else 0
        lease = Lease(gateway="gw0", life=life, tenant=BY.tenant, place="tenant", currency="USD", number=1,
                      held_micro=0, wanted_micro=wanted)  # fmt: skip
        controller._leases.grant(lease)
    for _ in range(2):
        controller._shipper.ship()
    stop_asking(controller)
    return platform


def record(number: int) -> UsageRecord:
    return UsageRecord(f"req{number}", BY.tenant, "key", "wine", "wine@1", "sha256:0", "infer", 200, 1e9 + number, 1, 5,
                       9, 10, 10)  # fmt: skip


def routed(platform: Platform) -> list[str]:
    endpoints = read_snapshot(platform.settings.routes_file).endpoints
    return [one.id for endpoint in endpoints for version in endpoint.versions for one in version.replicas]


@pytest.mark.parametrize("point", POINTS)
def test_after_a_death_at_any_point_everything_is_there_once(home: Path, point: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRISTMILL_CRASH_AT": f"{point}:1"}
    command = [sys.executable, "-m", "tests.control.test_every_fault_point_is_walked", str(home)]
    died = subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=60, capture_output=True, text=True)
    assert died.returncode == 137, died.stderr
    platform = live(home)
    try:
        replicas = platform.endpoint(BY.tenant, "wine")["replicas"]
        assert [one["model"] for one in replicas] == ["wine@1", "wine@1"]
        alive = [folder.name for folder in (home / "replicas").iterdir() if pid_of(folder) is not None]
        assert sorted(alive) == sorted(one["id"] for one in replicas) == sorted(routed(platform))
        with platform.database.read() as connection:
            assert len(versions.list_versions(connection, BY.tenant)) == 1
            found = check(connection)
            (budget,) = report(connection, BY.tenant, "budget")["rows"]
            unsettled = [row["quantity"] for row in report(connection, BY.tenant, "unpriced")["rows"]
                         if row["account"] == "unsettled"]  # fmt: skip
        assert unsettled == [LEASED / 10**6]
        assert (budget["unsettled_micro"], budget["leased_micro"]) == (LEASED, 0)
        assert (found.problems, found.usage_records) == ([], RECORDS)
    finally:
        platform.database.close()


def test_no_fault_point_is_forgotten() -> None:
    named = {name for file in (ROOT / "src").rglob("*.py") for name in _POINT.findall(file.read_text())}
    walked = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 20
    assert [name for name in sorted(named) if name not in walked and f'"{name.partition(".")[2]}"' not in walked] == []


_POINT = re.compile(r'fault_point\("([a-z.-]+)"\)')

if __name__ == "__main__":
    live(Path(sys.argv[1]))
