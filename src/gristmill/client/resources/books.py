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
    def invoice(self, month: str, tenant: str | None = None) -> Steps[Document]:
        """What a tenant's keys owe for a month ("2026-11"): {number, lines, totals, ...}."""
        reply = yield Call("GET", "/books/invoice", params={"month": month, "tenant": tenant})
        return reply.document()

    @operation
    def invoice_as(self, month: str, format: str, tenant: str | None = None) -> Steps[bytes]:
        """The same as `html` or `pdf`."""
        params = {"month": month, "tenant": tenant, "format": format}
        reply = yield Call("GET", "/books/invoice", params=params, timeout_s=UPLOAD_TIMEOUT_S)
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
        reply = yield Call("POST", "/books/rates", json=_given(rate))
        return reply.document()

    @operation
    def declare_hours(self, /, who: str, hours: float, on: str, **more: Any) -> Steps[Document]:
        """People's hours on a run, a version, a model, a dataset or `team`; more: `rate`, `at`, `id`."""
        reply = yield Call("POST", "/books/hours", json={"who": who, "hours": hours, "on": on, **_given(more)})
        return reply.document()

    @operation
    def buy_service(self, /, name: str, amount: str, on: str, **more: Any) -> Steps[Document]:
        """A service bought ("12USD") for what `on` names; more: `calls`, `at`, `id` (the same id counts once)."""
        reply = yield Call("POST", "/books/services", json={"name": name, "amount": amount, "on": on, **_given(more)})
        return reply.document()

    @operation
    def declare_compute(self, /, on: str, **used: Any) -> Steps[Document]:
        """Machine time that Gristmill did not grant, on what `on` names: `gpu_hours`, `core_hours`, `gib_hours`, `kwh`,
        `pue`, `embodied_kg`; `hardware` and `site`, which narrow their rates; `basis`, `error`, `at`, `id`.
        """
        reply = yield Call("POST", "/books/compute", json={"on": on, **_given(used)})
        return reply.document()

    @operation
    def use_hardware(
        self, /, name: str, amount: str, on: str, life_days: float, days: float, **more: Any
    ) -> Steps[Document]:
        """Bought for `amount`, used for `days` of a life of `life_days`; more: `left`, `share`, `at`, `id`."""
        body = {"name": name, "amount": amount, "on": on, "life_days": life_days, "days": days, **_given(more)}
        reply = yield Call("POST", "/books/hardware", json=body)
        return reply.document()

    @operation
    def pay_data(self, /, dataset: str, amount: str, **more: Any) -> Steps[Document]:
        """What was paid for NAME@N; more: `what` (bought, labelled, cleaned), `by_row`, `at`, `id`."""
        reply = yield Call("POST", "/books/data", json={"dataset": dataset, "amount": amount, **_given(more)})
        return reply.document()

    @operation
    def allocate(self, /, pool: str = "team", spread: str = "proportional", **more: Any) -> Steps[Document]:
        """Spread a pool: `uniform`, `proportional` or `metric`; more: `on` (places), `weights`, `metric`, `id`."""
        reply = yield Call("POST", "/books/allocations", json={"pool": pool, "spread": spread, **_given(more)})
        return reply.document()

    @operation
    def write_down(
        self, version: str, method: str, units: int | None = None, days: float | None = None
    ) -> Steps[Document]:
        """`units-of-production` over `units`; `straight-line` over `days`; `economic-decay`, a half-life of `days`."""
        body = {"version": version, "method": method, **_given({"units": units, "days": days})}
        reply = yield Call("POST", "/books/write-downs", json=body)
        return reply.document()

    @operation
    def inherit(self, version: str, parent: str, share: str) -> Steps[Document]:
        """A version takes over a share ("0.25") of what its parent cost."""
        reply = yield Call("POST", "/books/inheritances", json={"version": version, "parent": parent, "share": share})
        return reply.document()

    @operation
    def capitalise(self, run: str, version: str) -> Steps[Document]:
        """What a run cost is part of a version's R&D."""
        reply = yield Call("POST", "/books/capitalisations", json={"run": run, "version": version})
        return reply.document()

    @operation
    def rerate(self, since: str, dry_run: bool = False) -> Steps[Document]:
        """Rate the past again by the rates known now: {events, dry_run, rows}."""
        body = {"since": since, "dry_run": dry_run}
        reply = yield Call("POST", "/books/reratings", json=body, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.document()

    @operation
    def set_budget(self, /, on: str, amount: str, **more: Any) -> Steps[Document]:
        """A budget ("120USD") of `tenant`, key:ID, project:NAME, model:NAME or endpoint:NAME.

        More: `period`, `begins`, `hard`."""
        reply = yield Call("PUT", f"/books/budgets/{on}", json={"amount": amount, **_given(more)})
        return reply.document()

    @operation
    def budgets(self) -> Steps[Documents]:
        """What is set; what is left of it is in the report `budget`."""
        reply = yield Call("GET", "/books/budgets")
        return reply.documents()

    @operation
    def remove_budget(self, on: str) -> Steps[Document]:
        reply = yield Call("DELETE", f"/books/budgets/{on}")
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


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
