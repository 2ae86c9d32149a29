"""Step 8: the books: what each version cost by kind of input, what each request cost, margin, break-even."""

from __future__ import annotations

import time
from typing import Any

from gristmill.cli.books_views import report_view
from gristmill.cli.demo.stage import Stage
from gristmill.cli.output import title
from gristmill.client.sync import Client
from gristmill.core.errors import Internal

REPORTS = ("cost", "unit-cost", "margin", "break-even", "idle")
POSTED_WITHIN_S = 10.0  # the journal is shipped every half second


def read(stage: Stage) -> dict[str, Any]:
    """Wait until every request is posted, then print the reports and prove that they balance."""
    with stage.client() as client:
        check = _settled(client)
        reports = {name: client.books.report(name) for name in REPORTS}
    for name, report in reports.items():
        stage.tell("", title(name), report_view(report))
    if check["problems"]:
        raise Internal(f"The books do not hold: {check['problems'][0]}")
    stage.tell("", f"The books balance; {check['usage_records']} usage records, each posted once.")
    return {"result": f"{check['usage_records']} requests posted once, books balance", "check": check, **reports}


def _settled(client: Client) -> dict[str, Any]:
    """The books' check once the number of usage records stands still."""
    deadline, count = time.monotonic() + POSTED_WITHIN_S, -1
    while True:
        check: dict[str, Any] = client.books.check()
        if check["usage_records"] == count or time.monotonic() > deadline:
            return check
        count = check["usage_records"]
        time.sleep(1.0)
