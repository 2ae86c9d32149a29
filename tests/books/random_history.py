"""A company that does everything the books know, at random: for histories longer than hypothesis would draw."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from gristmill.books import events as told
from gristmill.books import records
from gristmill.books.amortization import Method
from gristmill.books.events import Event
from gristmill.books.posting import post, reverse
from gristmill.books.rate_cards import set_rate
from gristmill.books.records import Connection
from gristmill.books.reports.report import report
from gristmill.books.rerate import rerate
from gristmill.books.usage import post_usage
from gristmill.core.errors import Conflict, Unprocessable
from gristmill.core.types import Basis, Measure, Resources, ResourceUse
from tests.books.histories import NOON, TENANT, usage

_RATES = (
    ("cost", "compute.cpu", "core_hour", "USD"), ("cost", "compute.memory", "gib_hour", "EUR"),
    ("cost", "people.hours", "person_hour", "GBP"), ("cost", "storage.blobs", "gb_month", "EUR"),
    ("price", "serving.prediction", "1k_predictions", "USD"), ("exchange", "EUR", "EUR", "USD"),
    ("exchange", "GBP", "GBP", "USD"),
)  # fmt: skip
_REFUSED = (Conflict, Unprocessable)


class Company:
    """Each step is one event, a retry of one, a reversal, a new rate or a re-rating, at a time after the last one."""

    tenant = TENANT

    def __init__(self, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._at, self._step, self._versions, self._runs = NOON, 0, 1, 1
        self._told: list[str] = []
        self._last: Event | None = None
        self._acts: dict[Callable[[Connection], None], int] = {
            self._event: 80, self._usage: 40, self._retry: 6, self._reversal: 5, self._rate: 2, self._rerating: 1,
        }  # fmt: skip

    def step(self, connection: Connection) -> None:
        """Do one thing; what the books refuse is left undone."""
        self._at += self._random.uniform(1, 3600)
        self._step += 1
        (act,) = self._random.choices(list(self._acts), list(self._acts.values()))
        try:
            act(connection)
            self.counts[act.__name__.strip("_")] += 1
        except _REFUSED:
            self.counts["refused"] += 1

    def _event(self, connection: Connection) -> None:
        event = self._random.choice(self._kinds())()
        post(connection, event, self._at)
        self._told.append(event.id)
        self._last = event

    def _retry(self, connection: Connection) -> None:
        if self._last is not None:
            assert not post(connection, self._last, self._at)

    def _reversal(self, connection: Connection) -> None:
        if self._told:
            recent = self._told[-200:]
            reverse(connection, TENANT, self._random.choice(recent), "a mistake", self._at, self._at)

    def _usage(self, connection: Connection) -> None:
        rows = usage(self._random.randint(1, 30), self._step * 100, items=self._random.randint(0, 5),
                     model=self._version(), key=f"k{self._random.randint(1, 3)}", happened_at=self._at)  # fmt: skip
        post_usage(connection, "gateway", rows, self._step, self._at)

    def _rate(self, connection: Connection) -> None:
        card, item, unit, currency = self._random.choice(_RATES)
        price = f"{self._random.randint(1, 10**10)}e-9{currency}"
        since = self._at - self._random.uniform(0, 3e5)  # also of the past: what a re-rating is for
        set_rate(connection, TENANT, card=card, item=item, unit=unit, price=price, valid_from=since,
                 known_from=self._at)  # fmt: skip

    def _rerating(self, connection: Connection) -> None:
        rerate(connection, TENANT, self._at - 3e5, self._at, dry_run=self._random.random() < 0.3)

    def _kinds(self) -> list[Callable[[], Event]]:
        return [
            self._run, self._run, self._run, self._made, self._hours, self._service, self._dataset, self._data,
            self._compute, self._hardware,
            self._storage, self._replica, self._replica, self._allocated, self._inherited, self._capitalised,
            self._chosen, self._due, self._due, self._estimated, self._retired,
        ]  # fmt: skip

    def _version(self) -> str:
        return f"digits@{self._random.randint(max(1, self._versions - 6), self._versions)}"

    def _run_id(self) -> str:
        return f"run_{self._random.randint(max(1, self._runs - 8), self._runs)}"

    def _place(self) -> str:
        return self._random.choice(
            [f"run:{self._run_id()}", "model:digits", f"version:{self._version()}", self._owner(), "shared:team"]
        )

    def _owner(self) -> str:
        return f"dataset:{self._dataset_name()}@1"

    def _dataset_name(self) -> str:
        return f"rye{self._random.randint(max(0, self._step // 300 - 2), self._step // 300)}"

    def _run(self) -> Event:
        self._runs += self._random.random() < 0.5
        draw, wall = self._random, self._random.uniform(0, 1e4)
        energy = Measure(draw.choice([None, draw.uniform(0, 1e7)]), "J", Basis.modelled, "model", 0.5)
        used = ResourceUse(wall, draw.uniform(0, 2e4), draw.randint(0, 2**31), energy)
        state = draw.choice(["running", "succeeded", "failed", "cancelled"])
        return told.run_used(TENANT, self._run_id(), draw.choice(["train", "train", "evaluate"]), "digits", self._step,
                             state, self._at, Resources(draw.uniform(0, 8), 2**31), used)  # fmt: skip

    def _made(self) -> Event:
        self._versions += 1
        draw = self._random
        parent = draw.choice([None, self._version()])
        event = told.version_made(TENANT, "digits", self._versions, self._run_id(), [self._owner()[8:]], self._at,
                                  draw.choice([None, draw.randint(1, 3000)]))  # fmt: skip
        more = {"trials": [self._run_id()], "parent": parent, "inherits": None if parent is None else "0.3"}
        return Event(event.id, event.tenant, event.kind, event.payload | more, event.happened_at)

    def _hours(self) -> Event:
        return told.hours_declared(
            TENANT, f"hours_{self._step}", "miller", self._random.uniform(0, 9), self._place(), self._at
        )

    def _service(self) -> Event:
        money = self._random.randint(0, 10**8), self._random.choice(["USD", "EUR", "GBP"])
        return told.service_bought(TENANT, f"service_{self._step}", "search", *money, self._place(), self._at)

    def _compute(self) -> Event:
        draw = self._random
        said = {"on": self._place(), "gpu_hours": draw.uniform(0, 9), "core_hours": draw.uniform(0, 9), "pue": 1.2,
                "kwh": draw.choice([None, draw.uniform(0, 9)]), "embodied_kg": 1.0,
                "site": draw.choice(["", "mill"]), "hardware": "", "basis": "modelled", "error": 0.5}  # fmt: skip
        return told.compute_declared(TENANT, f"compute_{self._step}", said, self._at)

    def _hardware(self) -> Event:
        days = self._random.uniform(0.1, 99)
        said = {"name": "servers", "cost_micro": self._random.randint(10**8, 10**9), "left_micro": 10**7,
                "currency": self._random.choice(["USD", "EUR"]), "life_days": 100.0, "days": days, "share": "0.3",
                "on": self._place()}  # fmt: skip
        return told.hardware_used(TENANT, f"hardware_{self._step}", said, self._at)

    def _dataset(self) -> Event:
        cost = self._random.choice([None, self._random.randint(0, 10**9)])
        return told.dataset_added(TENANT, self._dataset_name(), 1, self._at, rows=100, size=10**6, cost_micro=cost,
                                  currency=self._random.choice(["USD", "EUR"]))  # fmt: skip

    def _data(self) -> Event:
        name = self._owner().removeprefix("dataset:")
        return told.data_paid(TENANT, f"data_{self._step}", name, "labelled", 100, "0.013EUR", self._at, True)

    def _storage(self) -> Event:
        owners = {owner: self._random.randint(0, 10**12) for owner in (self._owner(), f"version:{self._version()}")}
        return told.storage_used(TENANT, self._at, self._at + 86_400, owners)

    def _replica(self) -> Event:
        draw = self._random
        return told.replica_used(TENANT, "replica", self._step, "numbers", self._version(), self._at, self._at + 60,
                                 Resources(2.0, 2**30), draw.uniform(0, 100), draw.uniform(0, 70), 5,
                                 Measure(draw.uniform(0, 1e4), "J", Basis.modelled, "model", 0.5))  # fmt: skip

    def _allocated(self) -> Event:
        places = {self._place(): self._random.randint(0, 9) for _ in range(3)}
        targets = [{"on": on, "weight": weight} for on, weight in places.items() if on != "shared:team"]
        return told.cost_allocated(TENANT, f"allocated_{self._step}", "team", "proportional", None, targets, self._at)

    def _inherited(self) -> Event:
        share = str(self._random.randint(1, 100) / 100)
        return told.cost_inherited(TENANT, self._version(), self._version(), share, self._at)

    def _capitalised(self) -> Event:
        return told.experiment_capitalised(TENANT, self._run_id(), self._version(), self._at)

    def _chosen(self) -> Event:
        method = str(self._random.choice(list(Method)))
        return told.write_down_chosen(TENANT, self._version(), method, self._at, self._random.uniform(0.1, 90))

    def _due(self) -> Event:
        return told.write_down_due(TENANT, self._version(), self._at)

    def _estimated(self) -> Event:
        number = int(self._version().partition("@")[2])
        return told.units_estimated(TENANT, "digits", number, self._random.randint(1, 5000), self._at)

    def _retired(self) -> Event:
        return told.version_retired(TENANT, "digits", max(1, self._versions - 6), self._at)


def identities(connection: Connection) -> Iterator[str]:
    """What does not hold: zero by currency over all accounts; capitalised = amortised + unamortised + written off, by
    version, and as the sum of its inputs."""
    for row in records.sums(connection, TENANT, ("currency",)):
        if row["micro"]:
            yield f"All accounts together are {row['micro']} micro-units of {row['currency']}."
    rows: list[dict[str, Any]] = report(connection, TENANT, "cost")["rows"]
    for row in rows:
        whole = row["amortised_micro"] + row["unamortised_micro"] + row["written_off_micro"]
        kinds = ("compute", "energy", "data", "people", "storage", "services")
        if not whole == row["capitalised_micro"] == sum(row[f"{kind}_micro"] for kind in kinds):
            yield f"{row['version']} does not add up in {row['currency']}."
