"""What people tell the books and decide about costs goes in by the API and the SDK, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

from gristmill.books import events
from gristmill.books.posting import post
from gristmill.client.sync import Client
from gristmill.control.access import FIRST_TENANT
from gristmill.core.errors import Conflict, NotFound, Unprocessable
from gristmill.core.types import Basis, Measure, Resources, ResourceUse
from tests.api.conftest import Door, registered

AT = 1_790_000_000.0


@pytest.fixture(scope="module")
def mill(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A dataset of 60 rows and two versions, as the registry would hold them."""
    path: Path = tmp_path_factory.mktemp("data") / "rye.csv"
    path.write_text("\n".join(["a,b,colour", *(f"{i % 7},{i * 0.5},{'red' if i % 2 else 'white'}" for i in range(60))]))
    use = ResourceUse(3600.0, 3600.0, 2**30, Measure(None, "J", Basis.measured, "none"))
    with door.client() as client:
        client.datasets.add(path, name="rye", task="tabular-classification", target="colour")
        for number in (1, 2):
            registered(door, "flour", number, AT)
            with door.platform.database.write() as connection:
                post(connection, events.run_used(FIRST_TENANT, f"run_{number}", "train", "flour", 1, "succeeded", AT,
                                                 Resources(1.0, 2**30), use))  # fmt: skip
                post(connection, events.version_made(FIRST_TENANT, "flour", number, f"run_{number}", [], AT, 1000))
        yield client


def entries(client: Client, event: str) -> dict[str, int]:
    return {row["account"]: row["micro"] for row in client.books.entries(event=event)}


def test_a_service_is_bought_once_however_often_it_is_told(mill: Client) -> None:
    first = mill.books.buy_service("search-api", "12USD", "flour", calls=400, id="invoice 7")
    assert mill.books.buy_service("search-api", "12USD", "flour", calls=400, id="invoice 7")["event"] == first["event"]
    assert entries(mill, first["event"]) == {"assets:model:flour": 12_000_000, "inputs:services": -12_000_000}


def test_labels_are_paid_by_the_row_that_survived(mill: Client) -> None:
    told = mill.books.pay_data("rye@1", "0.05USD", what="labelled", by_row=True)
    assert entries(mill, told["event"])["assets:dataset:rye@1"] == 60 * 50_000


def test_hours_of_the_team_are_spread_over_models_and_stay_visible_where_nobody_has_a_weight(mill: Client) -> None:
    mill.books.declare_hours("platform", 2, "team", rate="100USD")
    nobody = mill.books.allocate("team", "proportional", on=["version:flour@1"], weights=[0])
    assert entries(mill, nobody["event"]) == {"undistributed:team": 200_000_000, "shared:team": -200_000_000}
    spread = mill.books.allocate("team", "uniform", on=["flour@1", "flour@2", "model:flour"])
    parts = entries(mill, spread["event"])
    assert parts["assets:version:flour@1"] == 66_666_667
    assert parts["assets:version:flour@2"] == 66_666_667
    assert parts["assets:model:flour"] == 66_666_666


def test_a_version_inherits_and_its_write_down_is_chosen(mill: Client) -> None:
    told = mill.books.inherit("flour@2", "flour@1", "0.5")
    assert entries(mill, told["event"])["assets:version:flour@2"] > 0
    assert len(mill.books.write_down("flour@2", "straight-line", days=30)["events"]) == 1
    assert len(mill.books.write_down("flour@1", "units-of-production", units=500)["events"]) == 2
    assert mill.books.check()["problems"] == []


def test_the_past_is_rated_again_and_before_that_tried_out(mill: Client) -> None:
    mill.books.set_rate(card="cost", item="compute.cpu", unit="core_hour", price="0.06USD", valid_from="2026-01-01")
    tried = mill.books.rerate("2026-01-01", dry_run=True)
    done = mill.books.rerate("2026-01-01")
    assert tried["rows"] == done["rows"]
    (row,) = done["rows"]
    assert (row["old_micro"], row["new_micro"], row["change_micro"]) == (80_000, 120_000, 40_000)
    assert mill.books.rerate("2026-01-01")["events"] == 0
    assert mill.books.check()["problems"] == []


def test_another_amount_under_the_same_id_is_refused_and_reported(mill: Client) -> None:
    mill.books.declare_hours("miller", 2.0, "flour", id="first shift")
    before = mill.books.check()
    with pytest.raises(Conflict, match="another payload"):
        mill.books.declare_hours("miller", 3.0, "flour", id="first shift")
    after = mill.books.check()
    assert (after["conflicts"], after["events"]) == (before["conflicts"] + 1, before["events"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda books: books.buy_service("search-api", "12ZZZ", "flour"), "not a known currency"),
        (lambda books: books.buy_service("search-api", "-12USD", "flour"), "negative"),
        (lambda books: books.buy_service("search-api", "12USD", "nowhere"), "no such run, model, version or dataset"),
        (lambda books: books.declare_hours("me", 1, "nowhere"), "no such run, model, version or dataset"),
        (lambda books: books.declare_hours("me", 1, "flour", at="2999-01-01"), "is in the future"),
        (lambda books: books.declare_hours("me", 1, "flour", at="1969-12-31"), "before 1970"),
        (lambda books: books.report("margin", since="2026-12", until="2026-11"), "end before it begins"),
        (lambda books: books.pay_data("rye@9", "1USD"), "no dataset version"),
        (lambda books: books.pay_data("rye@1", "NaNUSD"), "0 or more and finite"),
        (lambda books: books.buy_service("search-api", "2000000000000USD", "flour"), "at most 1,000,000,000,000"),
        (lambda books: books.declare_hours("me", inf, "flour"), "give a finite one"),
        (lambda books: books.allocate("nobody", "uniform", on=["flour@1"]), "Nothing stands in the pool nobody"),
        (lambda books: books.allocate("team", "metric", metric="moods"), "no metric 'moods'"),
        (lambda books: books.allocate("team", "proportional", on=["flour@1"], weights=[1, 2]), "one of 0 or more"),
        (lambda books: books.allocate("team", "uniform", on=["flour@1", "version:flour@1"]), "named twice"),
        (lambda books: books.write_down("flour@2", "straight-line"), "Days go with"),
        (lambda books: books.write_down("flour@9", "straight-line", days=3), "no version"),
        (lambda books: books.inherit("flour@2", "flour@1", "1.5"), "more than 0 and at most 1"),
        (lambda books: books.inherit("flour@2", "flour@2", "0.5"), "cannot inherit"),
        (lambda books: books.capitalise("run_x", "flour@2"), "no run 'run_x'"),
        (lambda books: books.rerate("soon"), "since"),
        (lambda books: books.set_rate(card="exchange", item="EUR", unit="EUR", price="0USD"), "more than 0"),
        (lambda books: books.set_rate(card="emissions", item="energy.electricity", unit="kwh", price="1USD"), "445g"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_no_entry(mill: Client, call: Any, said: str) -> None:
    before = mill.books.check()["events"]
    with pytest.raises((Unprocessable, NotFound), match=said) as refused:
        call(mill.books)
    assert "\n" not in str(refused.value)
    assert mill.books.check()["events"] == before


def test_a_budget_is_set_listed_reported_and_removed(mill: Client) -> None:
    told = mill.books.set_budget("model:flour", "120USD", period="monthly", begins="2026-11-01")
    assert (told["micro"], told["amount"], told["period"]) == (120_000_000, "120 USD", "monthly")
    assert [one["place"] for one in mill.books.budgets()] == ["model:flour"]
    (row,) = mill.books.report("budget")["rows"]
    assert (row["budget"], row["left_micro"], row["state"]) == ("model:flour", 120_000_000, "within")
    mill.books.remove_budget("model:flour")
    assert mill.books.budgets() == []


@pytest.mark.parametrize(("on", "amount"), [("model:none", "1USD"), ("tenant", "-1USD"), ("tenant", "1 pound")])
def test_what_is_no_budget_is_refused(mill: Client, on: str, amount: str) -> None:
    with pytest.raises(Unprocessable):
        mill.books.set_budget(on, amount)
    with pytest.raises(NotFound):
        mill.books.remove_budget(on)
