"""The books."""

from __future__ import annotations

from typing import Any

from gristmill.client.calls import Call, Document, Documents, Steps
from gristmill.client.operation import D, Resource, operation
from gristmill.client.uploads import UPLOAD_TIMEOUT_S


class Books(Resource[D]):
    @operation
    def report(self, /, name: str, **filters: Any) -> Steps[Document]:
        """`summary`, `cost`, `unit-cost`, `margin`, `break-even` or `idle`; filters such as `model`, `endpoint`."""
        reply = yield Call("GET", f"/books/report/{name}", params=filters)
        return reply.document()

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
    def export(self, table: str, format: str = "csv") -> Steps[bytes]:
        """`postings`, `usage` or `events` as `csv` or `parquet`."""
        params = {"table": table, "format": format}
        reply = yield Call("GET", "/books/export", params=params, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.body
