"""A year of a company with 5 tenants and 8 models in the books: every report over it, and its figures computed again.

    python -m benchmarks.company_year [--days 365] [--show margin]

What the company does is told to the books as the platform tells it: events and usage records. The reports are then held
against sums that DuckDB makes of the postings alone, the identities against the reports. To reach (issue 5): all
reports run on it; nothing is found wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from gristmill.books import events as told
from gristmill.books.budgets import set_budget
from gristmill.books.check import check
from gristmill.books.events import Event
from gristmill.books.export import export
from gristmill.books.focus import write_focus
from gristmill.books.invoice import invoice
from gristmill.books.posting import post, reverse
from gristmill.books.rate_cards import set_rate
from gristmill.books.records import Connection
from gristmill.books.reports.report import REPORTS, report
from gristmill.books.rerate import rerate
from gristmill.books.usage import post_usage
from gristmill.core.budgets import BudgetPeriod
from gristmill.core.periods import begin, month_of
from gristmill.core.reports import Breakdown, ExportForm, ReportName
from gristmill.core.types import Basis, Measure, Resources, ResourceUse, UsageRecord
from gristmill.store.database import Database

DAY_S = 86_400
FIRST = 1_735_689_600.0  # 1 January 2025
DOLLARS = {"EUR": "1.08", "GBP": "1.27"}  # the year's exchange rates
_FLOWS = (ReportName.summary, ReportName.unit_cost, ReportName.margin, ReportName.idle, ReportName.energy)


class Model(NamedTuple):
    """`calls`: requests a day at the end of the year; `tokens` of one, None for a model that answers rows."""

    tenant: str
    name: str
    calls: int
    tokens: tuple[int, int, int] | None
    price: tuple[str, str, str]  # item, unit, price


MODELS = (
    Model("mill", "flour-grades", 60, None, ("serving.prediction", "1k_predictions", "0.40USD")),
    Model("mill", "weevil-pictures", 20, None, ("serving.request", "1k_requests", "3.00USD")),
    Model("mill", "order-letters", 12, (180, 60, 90), ("serving.token", "1m_tokens", "2.50USD")),
    Model("bakery", "oven-curves", 40, None, ("serving.prediction", "1k_predictions", "0.55EUR")),
    Model("bakery", "crust-pictures", 15, None, ("serving.request", "1k_requests", "4.00EUR")),
    Model("brewery", "mash-forecast", 30, None, ("serving.prediction", "1k_predictions", "0.30USD")),
    Model("barge", "river-levels", 25, None, ("serving.prediction", "1k_predictions", "0.20GBP")),
    Model("market", "stall-chat", 35, (240, 120, 160), ("serving.token", "1m_tokens", "1.80USD")),
)
TENANTS = tuple(dict.fromkeys(model.tenant for model in MODELS))


class Year:
    """Deterministic; `live` walks the days, and writes into the books as time goes on."""

    def __init__(self, connection: Connection, days: int, seed: int = 1916) -> None:
        self._books, self._days = connection, days
        self._random = random.Random(seed)
        self._requests = self._events = 0
        self._serving = {model.name: 1 for model in MODELS}

    def live(self) -> dict[str, int]:
        for tenant in TENANTS:
            self._begin(tenant)
        for model in MODELS:
            self._develop(model, 1, FIRST + 3600, None)
        for day in range(1, self._days):
            at = FIRST + day * DAY_S
            for tenant in TENANTS:
                self._day_of(tenant, at)
            for model in MODELS:
                self._serve(model, day, at)
            if day == self._days // 2:
                for model in MODELS[::2]:
                    self._develop(model, 2, at, 1)
                    self._serving[model.name] = 2
            if day == self._days * 3 // 4:
                self._correct(at)
        return {"requests": self._requests, "events": self._events}

    def _post(self, event: Event) -> None:
        self._events += post(self._books, event, event.happened_at)

    def _begin(self, tenant: str) -> None:
        for card, item, unit, price in (
            *(("exchange", currency, currency, f"{price}USD") for currency, price in DOLLARS.items()),
            ("cost", "compute.cpu", "core_hour", "0.042USD"), ("cost", "compute.memory", "gib_hour", "0.005EUR"),
            ("cost", "energy.electricity", "kwh", "0.19EUR"), ("cost", "people.hours", "person_hour", "72GBP"),
            ("cost", "storage.blobs", "gb_month", "0.021USD"),
        ):  # fmt: skip
            self._rate(tenant, card, item, unit, price, FIRST)
        for model in (one for one in MODELS if one.tenant == tenant):
            item, unit, price = model.price
            self._rate(tenant, "price", f"{item}:{model.name}" if "token" not in item else item, unit, price, FIRST)
        set_budget(self._books, tenant, "tenant", "5000USD", BudgetPeriod.total, FIRST, FIRST)

    def _rate(self, tenant: str, card: str, item: str, unit: str, price: str, since: float, known: float = 0) -> None:
        set_rate(self._books, tenant, card=card, item=item, unit=unit, price=price, valid_from=since,
                 known_from=known or since)  # fmt: skip

    def _develop(self, model: Model, version: int, at: float, parent: int | None) -> None:
        """Data bought and labelled, tries of which one dies and two fail, hours, a service, the version."""
        tenant, draw, dataset = model.tenant, self._random, f"{model.name}-data"
        self._post(told.dataset_added(tenant, dataset, version, at, rows=20_000, size=4 * 10**8,
                                      cost_micro=draw.randint(50, 400) * 10**6, currency="EUR"))  # fmt: skip
        self._post(told.data_paid(tenant, f"label-{dataset}-{version}", f"{dataset}@{version}", "labelled", 18_400,
                                  "0.004USD", at, True))  # fmt: skip
        for number, state in enumerate(("failed", "succeeded", "failed", "succeeded")):
            run = f"run_{model.name}_{version}_{number}"
            attempts = ("died", state) if number == 1 else (state,)
            for attempt, ended in enumerate(attempts, 1):
                wall = draw.uniform(1800, 20_000)
                energy = None if number == 2 else wall * 40
                used = ResourceUse(wall, wall * draw.uniform(0.5, 3.9), 3 * 2**30,
                                   Measure(energy, "J", Basis.modelled, "TDP model", 0.3))  # fmt: skip
                self._post(told.run_used(tenant, run, "train", model.name, attempt, ended, at + 100 * number,
                                         Resources(4.0, 4 * 2**30), used))  # fmt: skip
        self._post(told.hours_declared(tenant, f"h-{model.name}-{version}", "team", draw.randint(20, 60),
                                       f"model:{model.name}", at))  # fmt: skip
        paid = draw.randint(5, 90) * 10**6
        self._post(told.service_bought(tenant, f"s-{model.name}-{version}", "teacher", paid, "USD",
                                       f"run:run_{model.name}_{version}_3", at, 1200))  # fmt: skip
        self._post(told.version_made(tenant, model.name, version, f"run_{model.name}_{version}_3",
                                     [f"{dataset}@{version}"], at + 500, 30 * self._days * model.calls))  # fmt: skip
        reference = f"{model.name}@{version}"
        self._post(told.experiment_capitalised(tenant, f"run_{model.name}_{version}_1", reference, at + 600))
        if parent is not None:
            former = f"{model.name}@{parent}"
            self._post(told.cost_inherited(tenant, reference, former, "0.25", at + 700))
        if model.name.endswith("pictures"):
            self._post(told.write_down_chosen(tenant, reference, "straight-line", at + 800, 300))

    def _day_of(self, tenant: str, at: float) -> None:
        """Storage, what nobody was granted, and on the first of a month what all of its models share."""
        owners = {f"version:{one.name}@{self._serving[one.name]}": 90 * 10**6 for one in MODELS if one.tenant == tenant}
        self._post(told.storage_used(tenant, at - DAY_S, at, owners))
        self._post(told.capacity_idle(tenant, at - DAY_S, at, 40_000.0, 90_000.0, 0.0))
        if begin(month_of(int(at // DAY_S))) == at:
            month = month_of(int(at // DAY_S))
            self._post(told.service_bought(tenant, f"monitoring-{tenant}-{month}", "monitoring", 49_990_000, "USD",
                                           "shared:platform", at))  # fmt: skip
            targets = [{"on": owner, "weight": place + 1} for place, owner in enumerate(owners)]
            self._post(told.cost_allocated(tenant, f"share-{tenant}-{month}", "platform", "proportional", None, targets,
                                           at + 1))  # fmt: skip
            for owner in owners:
                if "pictures" in owner:
                    self._post(told.write_down_due(tenant, owner.removeprefix("version:"), at + 2))

    def _serve(self, model: Model, day: int, at: float) -> None:
        reference, draw = f"{model.name}@{self._serving[model.name]}", self._random
        calls = max(1, round(model.calls * (0.3 + 0.7 * day / self._days) * draw.uniform(0.7, 1.3)))
        busy = calls * draw.uniform(20, 60)
        self._post(told.replica_used(
            model.tenant, f"rep_{model.name}", day, model.name, reference, at, at + DAY_S - 1, Resources(0.5, 2**30),
            min(busy, 40_000.0), min(busy, 80_000.0), calls, Measure(busy * 7, "J", Basis.modelled, "TDP model", 0.5),
        ))  # fmt: skip
        records = [self._record(model, reference, at + number) for number in range(calls)]
        self._requests += len(records)
        post_usage(self._books, f"journal-{model.name}", records, day, at)

    def _record(self, model: Model, reference: str, at: float) -> UsageRecord:
        draw, tokens = self._random, {}
        if model.tokens is not None:
            names = ("prompt", "cached", "completion")
            tokens = {name: draw.randint(1, 2 * count) for name, count in zip(names, model.tokens, strict=True)}
        status = draw.choices((200, 422, 503), (96, 3, 1))[0]
        items = draw.randint(1, 64) if model.tokens is None else 1
        return UsageRecord(
            f"req_{model.name}_{at}", model.tenant, f"key_{draw.randint(1, 3)}", model.name, reference, "sha256:0",
            "infer" if model.tokens is None else "generate", status, at, items, draw.randint(200, 9000),
            draw.randint(900, 30_000), 400, 600, tokens if status == 200 else {}, f"rep_{model.name}",
        )  # fmt: skip

    def _correct(self, at: float) -> None:
        """Hours that were told by mistake, electricity that was dearer than known, a first version that is retired."""
        self._post(told.hours_declared("mill", "mistaken", "team", 400, "model:flour-grades", at))
        reverse(self._books, "mill", "mistaken", "40 hours, not 400", at + 1, at + 1)
        for tenant in TENANTS:
            self._rate(tenant, "cost", "energy.electricity", "kwh", "0.23EUR", FIRST, at)
            rerate(self._books, tenant, FIRST, at, dry_run=False)
        for model in MODELS[::2]:
            self._post(told.version_retired(model.tenant, model.name, 1, at))


def wrong(books: Database, folder: Path, days: int) -> Iterator[str]:
    """What does not hold, a sentence each: the books' own check, then reports and invoices against DuckDB's sums."""
    with books.read() as connection:
        yield from check(connection).problems
        for tenant in TENANTS:
            path = folder / f"{tenant}.duckdb"
            export(connection, tenant, "postings", ExportForm.duckdb, path)
            with duckdb.connect(str(path), read_only=True) as postings:
                yield from _of_tenant(connection, tenant, postings, days)
            write_focus(connection, tenant, ExportForm.csv, folder / f"{tenant}-focus.csv")


def _of_tenant(connection: Connection, tenant: str, postings: Any, days: int) -> Iterator[str]:
    def summed(where: str, since: float = 0, until: float = 1e12) -> dict[str, int]:
        query = (f"SELECT currency, sum(micro) FROM postings WHERE {where} AND happened_at >= {since} "
                 f"AND happened_at < {until} GROUP BY currency HAVING sum(micro) != 0")  # fmt: skip
        return {currency: int(micro) for currency, micro in postings.sql(query).fetchall()}

    if summed("true"):
        yield f"{tenant}: all postings together are {summed('true')}, not 0."
    margin = report(connection, tenant, "margin")["rows"]
    revenue = _in_dollars(postings)
    if _by_currency(margin, "revenue_micro") != revenue:
        yield f"{tenant}: margin says revenue {_by_currency(margin, 'revenue_micro')}, and the postings {revenue}."
    for row in margin:
        if (
            row["margin_micro"]
            != row["revenue_micro"] - row["marginal_micro"] - row["amortisation_micro"] - row["idle_micro"]
        ):
            yield f"{tenant}: the margin of {row['version']} is not what is left of its revenue."
    for row in report(connection, tenant, "cost")["rows"]:
        gone = row["amortised_micro"] + row["written_off_micro"]
        if row["capitalised_micro"] != gone + row["unamortised_micro"]:
            yield f"{tenant}: amortised, unamortised and written off of {row['version']} are not what was capitalised."
    last = int((FIRST + days * DAY_S) // DAY_S)
    for month in sorted({month_of(day) for day in range(int(FIRST // DAY_S), last)}):
        document = invoice(connection, tenant, month)
        since = begin(month)
        until = begin(month_of(int(since // DAY_S) + 31))
        owed = summed("account LIKE 'receivable:%'", since, until)
        said = {total["currency"]: total["total_micro"] for total in document["totals"] if total["total_micro"]}
        lines = _by_currency(document["lines"], "amount_micro")
        if not said == owed == lines:
            yield f"{tenant}: the invoice of {month} says {said}, its lines {lines} and the postings {owed}."
    requests = report(connection, tenant, "summary")["requests"]
    ((counted,),) = postings.sql("SELECT count(*) FROM usage WHERE status < 300").fetchall()
    if requests != counted:
        yield f"{tenant}: the summary says {requests} requests, and {counted} usage records were answered."


def _in_dollars(postings: Any) -> dict[str, int]:
    """What each key owes for each version, at the year's one exchange rate; rounded as the report rounds it."""
    query = ("SELECT currency, sum(micro) FROM postings WHERE account LIKE 'receivable:%' AND micro != 0 "
             "GROUP BY currency, version, account")  # fmt: skip
    sums = ((DOLLARS.get(currency, "1"), int(micro)) for currency, micro in postings.sql(query).fetchall())
    return {"USD": sum(round(micro * Fraction(price)) for price, micro in sums)}


def _by_currency(rows: list[dict[str, Any]], column: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in rows:
        sums[row["currency"]] = sums.get(row["currency"], 0) + row[column]
    return {currency: micro for currency, micro in sums.items() if micro}


def reported(books: Database) -> dict[str, float]:
    """The slowest of each report over the tenants, in seconds; those that flow by month too."""
    slowest: dict[str, float] = {}
    with books.read() as connection:
        for name in REPORTS:
            for tenant in TENANTS:
                started = time.perf_counter()
                report(connection, tenant, name)
                if name in _FLOWS:
                    report(connection, tenant, name, by=Breakdown.month)
                slowest[str(name)] = max(slowest.get(str(name), 0.0), round(time.perf_counter() - started, 3))
    return slowest


def lived(folder: Path, days: int) -> tuple[Database, dict[str, int]]:
    books = Database(f"sqlite:///{folder / 'gristmill.db'}")
    books.migrate()
    with books.write() as connection:
        counts = Year(connection, days).live()
    return books, counts


def main() -> None:
    """Print what was told, how long the reports took, and what was found wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--show", choices=[str(name) for name in REPORTS], help="print this report of every tenant")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        books, counts = lived(Path(name), asked.days)
        took = round(time.perf_counter() - started, 1)
        if asked.show:
            with books.read() as connection:
                for tenant in TENANTS:
                    print(json.dumps({"tenant": tenant} | report(connection, tenant, asked.show), indent=2))
        with books.read() as connection:
            postings = check(connection).postings
        print(json.dumps({**counts, "postings": postings, "told_s": took, "reports_s": reported(books),
                          "wrong": list(wrong(books, Path(name), asked.days))}, indent=2))  # fmt: skip
        books.close()


if __name__ == "__main__":
    main()
