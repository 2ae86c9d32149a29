"""An event counts once; another payload under its id is refused and kept; a mistake is reversed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gristmill.books import records
from gristmill.books.check import check
from gristmill.books.entries import entries
from gristmill.books.posting import deliver, post, reverse
from gristmill.books.usage import post_usage
from gristmill.core.errors import Conflict, NotFound, Unprocessable
from gristmill.store.database import Database
from tests.books.histories import NOON, TENANT, balances, dataset, hours, in_memory, made, run, usage


def test_a_retry_is_the_same_event(database: Database) -> None:
    with database.write() as connection:
        assert post(connection, run())
    once = balances(database)
    with database.write() as connection:
        assert not post(connection, replace(run(), happened_at=NOON + 9))
        assert check(connection).problems == []
    assert balances(database) == once


def test_the_same_id_with_another_payload_is_refused_and_recorded(database: Database) -> None:
    with database.write() as connection:
        post(connection, dataset(cost_micro=1))
        with pytest.raises(Conflict, match="was refused; to correct it, reverse it"):
            post(connection, dataset(cost_micro=2))
        assert check(connection).conflicts == 1
    assert balances(database)["inputs:data"] == -1


def test_a_reversal_is_linked_and_takes_everything_back(database: Database) -> None:
    event = run(state="failed")
    with database.write() as connection:
        post(connection, event)
        made_by = reverse(connection, TENANT, event.id, "wrong machine", NOON + 1)
        assert records.stored_event(connection, made_by)["reverses"] == event.id
        assert check(connection).problems == []
        assert len(entries(connection, TENANT, event=made_by)) == len(entries(connection, TENANT, event=event.id))
        with pytest.raises(Conflict, match="reversed already"):
            reverse(connection, TENANT, event.id, "again", NOON + 2)
        with pytest.raises(Conflict, match="itself a reversal"):
            reverse(connection, TENANT, made_by, "and back", NOON + 2)
    assert set(balances(database).values()) == {0}


def test_another_tenants_event_is_not_found() -> None:
    with in_memory().write() as connection:
        post(connection, run())
        with pytest.raises(NotFound):
            reverse(connection, "other", run().id, "curious", NOON)


def test_what_an_asset_was_built_on_is_not_reversed_from_under_it() -> None:
    with in_memory().write() as connection:
        for event in (dataset(), run(), made()):
            post(connection, event)
        for event in (dataset(), run()):
            with pytest.raises(Conflict, match="less than it put into"):
                reverse(connection, TENANT, event.id, "mistake", NOON)
        reverse(connection, TENANT, made().id, "mistake", NOON)
        reverse(connection, TENANT, run().id, "mistake", NOON)
        assert check(connection).problems == []


def test_a_version_that_was_used_is_not_unmade() -> None:
    with in_memory().write() as connection:
        for event in (dataset(), made(run_id=None)):
            post(connection, event)
        post_usage(connection, "gateway", usage(20), 1)
        with pytest.raises(Conflict, match="less than it put into assets:version:digits@1"):
            reverse(connection, TENANT, made().id, "mistake", NOON)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (dataset(cost_micro=-1), "should cost 0 or more"),
        (dataset(currency="ZZZ"), "known currency"),
        (hours("run:run_1", -2.0), "hours should be 0 or more"),
        (hours("run:run_1", float("nan")), "hours should be 0 or more"),
        (hours("somewhere"), "have no place"),
        (hours("run:run_1", rate="5ZZZ"), "not a known currency"),
        (made(units=0), "1 or more"),
        (replace(run(), kind="run.dreamt"), "know no event of kind"),
        (replace(run(), payload={"run": 5}), "cannot be posted: Expected"),
        (
            replace(run(), payload=run().payload | {"resources": {"cores": -1.0, "memory_bytes": 1, "gpus": 0}}),
            "granted",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_posted(event: object, said: str) -> None:
    database = in_memory()
    with database.write() as connection:
        with pytest.raises(Unprocessable, match=said):
            post(connection, event)
        assert check(connection).events == 0
        assert not deliver(connection, event)
        assert check(connection).conflicts == 1
    assert balances(database) == {}


def test_the_check_finds_what_was_tampered_with(database: Database) -> None:
    from sqlalchemy import text

    with database.write() as connection:
        post(connection, run())
        post_usage(connection, "gateway", usage(5), 1)
        connection.execute(text("UPDATE postings SET micro = micro + 1 WHERE account = 'inputs:energy'"))
        connection.execute(text("DELETE FROM usage WHERE id = 'req_3'"))
        problems = " ".join(check(connection).problems)
    assert "sums to 1 micro-units of USD" in problems
    assert "posts 5 requests; its usage records have 4" in problems
    assert "kept balance of inputs:energy is not the sum" in problems
