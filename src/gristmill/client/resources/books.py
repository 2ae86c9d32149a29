"""The books."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gristmill.client.calls import Call, Document, Documents, Steps
from gristmill.client.operation import D, Resource, operation
from gristmill.client.uploads import UPLOAD_TIMEOUT_S


class Books(Resource[D]):
    @operation
    def report(self, /, name: str, **filters: Any) -> Steps[Document]:
        """A report by name (`gristmill.core.reports.ReportName`) as {report, rows, notes}.

        Filters: `model`, `endpoint`, `team`, `tenant`, `since`, `until` ("2026-11"), `by`, `propose`.
        """
        reply = yield Call("GET", f"/books/report/{name}", params=filters, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.document()

    @operation
    def report_as(self, /, name: str, format: str, **filters: Any) -> Steps[bytes]:
        """The same as `csv`, `parquet`, or drawn as `svg` or `png`."""
        params = {**filters, "format": format}
        reply = yield Call("GET", f"/books/report/{name}", params=params, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.body

    @operation
    def entries(self, /, **filters: Any) -> Steps[Documents]:
        """Postings, newest first; filters such as `account`, `event`, `limit`."""
        reply = yield Call("GET", "/books/entries", params=filters)
        return reply.documents()

    @operation
    def rates(self) -> Steps[Documents]:
        reply = yield Call("GET", "/books/rates")
        return reply.documents()

    @operation
    def set_rate(self, /, **rate: Any) -> Steps[Document]:
        """`card`, `item`, `unit`, `price` ("0.05USD"), and `valid_from`, `valid_to`, `note` if wanted."""
        reply = yield Call(
            "POST", "/books/rates", json={key: value for key, value in rate.items() if value is not None}
        )
        return reply.document()

    @operation
    def declare_hours(self, who: str, hours: float, on: str) -> Steps[Document]:
        """People's hours on a run, a version or a dataset."""
        reply = yield Call("POST", "/books/hours", json={"who": who, "hours": hours, "on": on})
        return reply.document()

    @operation
    def reverse(self, event: str, reason: str) -> Steps[Document]:
        reply = yield Call("POST", "/books/reversals", json={"event": event, "reason": reason})
        return reply.document()

    @operation
    def check(self) -> Steps[Document]:
        """{problems, usage_records, ...}: whether the books balance and every usage record is posted once."""
        reply = yield Call("GET", "/books/check", timeout_s=UPLOAD_TIMEOUT_S)
        return reply.document()

    @operation
    def export(self, table: str, path: Path, format: str = "csv", tenant: str | None = None) -> Steps[None]:
        """Write `postings`, `usage` or `events` as `csv` or `parquet` to `path`, part by part as it comes.

        `focus`, `focus-parquet` (FOCUS 1.2) and `duckdb` are of all the books, whatever the table.
        """
        params = {"table": table, "format": format, "tenant": tenant}
        yield Call("GET", "/books/export", params=params, save_to=path, timeout_s=UPLOAD_TIMEOUT_S)
