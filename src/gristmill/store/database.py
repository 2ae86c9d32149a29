"""One engine, its transactions, and the two statements that SQLite and PostgreSQL spell alike only by dialect."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Column, Connection, Engine, Table, create_engine, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from gristmill.core.errors import StorageFull, Unavailable

_ROWS_A_STATEMENT = 500  # SQLite before 3.32 takes 999 variables; psycopg 65,535


class Database:
    """SQLite in WAL mode, or PostgreSQL, by SQLAlchemy URL.

    SQLite has one writer: the controller's process is the only one that opens the database, and in it one lock orders
    the writes. (SQLite before 3.51.3 may lose a WAL reset when two connections checkpoint at once.)
    """

    def __init__(self, url: str) -> None:
        self._sqlite = url.startswith("sqlite")
        self._writing = threading.RLock()
        self.commits = 0  # of this process, which alone writes: while it stands still there is nothing new to read
        if self._sqlite and (path := url.partition(":///")[2]):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._engine = _sqlite_engine(url) if self._sqlite else create_engine(url, pool_pre_ping=True)

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    def migrate(self) -> None:
        """Bring the schema to the newest revision."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view however many statements look at it; nothing may be written."""
        with _said(), self._engine.connect() as connection:
            if self._sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
            connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back when it raises. Raises StorageFull, Unavailable."""
        if not self._sqlite:
            with _said(), self._engine.begin() as connection:
                yield connection
            self.commits += 1
            return
        with _said(), self._writing, self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
            self.commits += 1

    def close(self) -> None:
        self._engine.dispose()


def _sqlite_engine(url: str) -> Engine:
    # isolation_level None: the driver opens no transaction of its own, `write` says BEGIN IMMEDIATE itself
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if "full" in str(error.orig):
            raise StorageFull(
                "The disk is full: the database could not be written; what was stored is intact."
            ) from error
        raise Unavailable("The database cannot be reached; try again.", retry_after_s=1.0) from error


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """INSERT ... ON CONFLICT DO NOTHING; returns how many rows were new."""
    if not rows:
        return 0
    values = [dict(row) for row in rows]
    if connection.dialect.name == "sqlite":
        return connection.execute(sqlite.insert(table).on_conflict_do_nothing(), values).rowcount
    # psycopg's executemany tells no row count; RETURNING names just the rows that were new
    insert = postgresql.insert(table).on_conflict_do_nothing().returning(next(iter(table.primary_key)))
    return len(connection.execute(insert, values).all())


def new_ids(connection: Connection, table: Table, column: Column[Any], ids: Iterable[str]) -> set[str]:
    """Those of `ids` that `column` does not hold yet."""
    wanted = list(ids)
    stored: set[str] = set()
    for start in range(0, len(wanted), _ROWS_A_STATEMENT):
        part = wanted[start : start + _ROWS_A_STATEMENT]
        stored.update(connection.execute(select(column).select_from(table).where(column.in_(part))).scalars())
    return set(wanted) - stored
