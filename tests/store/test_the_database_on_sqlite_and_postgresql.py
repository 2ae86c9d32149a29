import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from gristmill.store.database import Database, insert_new, new_ids
from gristmill.store.outbox import done, enqueue, pending
from gristmill.store.tables import cursors, metadata


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(database: Database) -> None:
    with database.write() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(database: Database) -> None:
    database.migrate()


def test_a_transaction_that_raises_leaves_nothing_behind(database: Database) -> None:
    def write_and_fail() -> None:
        with database.write() as connection:
            insert_new(connection, cursors, [{"name": "a", "position": 1}])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.read() as connection:
        assert connection.execute(select(cursors)).all() == []


def test_rows_that_are_there_are_not_inserted_again(database: Database) -> None:
    rows = [{"name": f"n{number}", "position": number} for number in range(2000)]
    with database.write() as connection:
        assert insert_new(connection, cursors, rows[:1000]) == 1000
        assert insert_new(connection, cursors, rows[:1]) == 0
        insert_new(connection, cursors, rows)
        assert len(connection.execute(select(cursors)).all()) == 2000
        assert new_ids(connection, cursors, cursors.c.name, ["n5", "x", "n1999"]) == {"x"}


def test_parallel_writers_wait_for_each_other_and_lose_nothing(database: Database) -> None:
    with database.write() as connection:
        insert_new(connection, cursors, [{"name": "count", "position": 0}])

    def count() -> None:
        for _ in range(20):
            with database.write() as connection:
                row = select(cursors.c.position).where(cursors.c.name == "count").with_for_update()
                position = connection.execute(row).scalar_one()
                connection.execute(cursors.update().where(cursors.c.name == "count").values(position=position + 1))

    threads = [threading.Thread(target=count) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(select(cursors.c.position)).scalar_one() == 100


def test_the_outbox_gives_its_items_in_order_and_takes_an_event_once(database: Database) -> None:
    with database.write() as connection:
        for number in (3, 1, 2, 1):
            enqueue(connection, f"event{number}", "default", "kind", {"n": number}, 1.0)
        items = pending(connection, 10)
        assert [item.payload["n"] for item in items] == [3, 1, 2]
        done(connection, [item.number for item in items[:2]])
        assert [item.event for item in pending(connection, 10)] == ["event2"]


def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(database: Database) -> None:
    with database.read() as reader:
        assert reader.execute(select(cursors)).all() == []
        with database.write() as writer:
            insert_new(writer, cursors, [{"name": "a", "position": 1}])
        assert reader.execute(select(cursors)).all() == []
    with database.read() as reader:
        assert len(reader.execute(select(cursors)).all()) == 1
