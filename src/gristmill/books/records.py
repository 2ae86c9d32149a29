"""Rows of the books. Only this file speaks SQL; rows are inserted and summed, never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection as Connection
from sqlalchemy import Select, Table, and_, bindparam, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from gristmill.books.ledger import Posting
from gristmill.store.database import insert_new
from gristmill.store.tables import (
    balances,
    conflicts,
    dataset_versions,
    endpoints,
    events,
    postings,
    rates,
    runs,
    totals,
    usage,
    versions,
)

TABLES = {"postings": postings, "usage": usage, "events": events}
_DIMENSIONS = ("account", "item", "currency", "unit", "basis", "rate", "unpriced", "model", "version", "endpoint",
               "run")  # fmt: skip
_SUMMED = ("micro", "quantity", "unknown", "entries", "band")
_OPTIONAL = ("unit", "rate", "model", "version", "endpoint", "run", "item")
_DAY_S = 86_400
_EVER = "ever"

Row = dict[str, Any]


def rows_of(connection: Connection, query: Select[Any]) -> list[Row]:
    """A query's rows as dicts."""
    return [dict(row) for row in connection.execute(query).mappings()]


# --- events and postings ---------------------------------------------------------------------------------------
_EVENT_BY_ID = select(events).where(events.c.id == bindparam("of_id"))
_INSERT_EVENT, _INSERT_POSTINGS = insert(events), insert(postings)


def stored_event(connection: Connection, id_: str) -> Row | None:
    row = connection.execute(_EVENT_BY_ID, {"of_id": id_}).mappings().one_or_none()
    return None if row is None else dict(row)


def reversal_of(connection: Connection, id_: str) -> str | None:
    return connection.execute(select(events.c.id).where(events.c.reverses == id_)).scalar()


def reratings_of(connection: Connection, id_: str) -> list[str]:
    """Re-ratings of an event that were not reversed, oldest first."""
    undone = events.alias("undone")
    query = (
        select(events.c.id).outerjoin(undone, undone.c.reverses == events.c.id)
        .where(events.c.rerates == id_, undone.c.id.is_(None)).order_by(events.c.recorded_at, events.c.id)
    )  # fmt: skip
    return list(connection.execute(query).scalars())


def rated_events(connection: Connection, tenant: str, kinds: Sequence[str], since: float) -> list[str]:
    """Events of `kinds` that happened at `since` or later and were not reversed, in the order of their recording."""
    undone = events.alias("undone")
    first = select(func.min(postings.c.number)).where(postings.c.event == events.c.id).scalar_subquery()
    query = (
        select(events.c.id).outerjoin(undone, undone.c.reverses == events.c.id)
        .where(events.c.tenant == tenant, events.c.kind.in_(kinds), events.c.happened_at >= since,
               undone.c.id.is_(None)).order_by(first)
    )  # fmt: skip
    return list(connection.execute(query).scalars())


def version_that_took(connection: Connection, tenant: str, account: str, event: str) -> str | None:
    """The version whose making first took from `account` after `event` had put there, unless that was reversed."""
    undone, made = events.alias("undone"), events.alias("made")
    put = select(func.max(postings.c.number)).where(postings.c.event == event).scalar_subquery()
    query = (
        select(made.c.payload).select_from(postings).join(made, made.c.id == postings.c.event)
        .outerjoin(undone, undone.c.reverses == made.c.id)
        .where(postings.c.tenant == tenant, postings.c.account == account, postings.c.number > put,
               made.c.kind == "version.made", undone.c.id.is_(None)).order_by(postings.c.number).limit(1)
    )  # fmt: skip
    payload = connection.execute(query).scalar()
    return None if payload is None else f"{payload['model']}@{payload['version']}"


def insert_event(connection: Connection, row: Row) -> None:
    connection.execute(_INSERT_EVENT, row)


def insert_conflict(connection: Connection, row: Row) -> None:
    connection.execute(insert(conflicts).values(dict(row)))


def insert_postings(
    connection: Connection, event: str, tenant: str, happened_at: float, lines: Sequence[Posting], sign: int
) -> None:
    """The lines, and the balances moved by them; `sign` -1 for a reversal, which takes back what was unknown."""
    rows = [{field: getattr(line, field) for field in line.__struct_fields__} for line in lines]
    stored = [
        row | {name: row[name] or None for name in _OPTIONAL}
        | {"event": event, "tenant": tenant, "happened_at": happened_at, "basis": row["basis"].value}
        for row in rows
    ]  # fmt: skip
    connection.execute(_INSERT_POSTINGS, stored)
    _move_sums(connection, tenant, int(happened_at // _DAY_S), rows, sign)


def _move_sums(connection: Connection, tenant: str, day: int, rows: Sequence[dict[str, Any]], sign: int) -> None:
    by_day: dict[str, Row] = {}
    ever: dict[str, Row] = {}
    for row in rows:
        dimensions = {name: row[name] for name in _DIMENSIONS} | {"basis": row["basis"].value}
        for moved, span, more in ((by_day, str(day), {"day": day}), (ever, _EVER, {})):
            key = _sum_key(tenant, span, dimensions)
            if key not in moved:
                moved[key] = {"key": key, "tenant": tenant, **more, **dict.fromkeys(_SUMMED, 0), **dimensions}
            _add(moved[key], row, sign)
    for table, moved in ((balances, by_day), (totals, ever)):
        connection.execute(_upsert(connection.dialect.name, table), [moved[key] for key in sorted(moved)])


def _add(sums: Row, row: dict[str, Any], sign: int) -> None:
    quantity = row["quantity"] or 0.0
    sums["micro"] += row["micro"]
    sums["quantity"] += quantity
    sums["unknown"] += sign * (row["quantity"] is None)
    sums["entries"] += 1
    sums["band"] += quantity * (row["error"] or 0.0)  # one model errs alike wherever it is used


@cache
def _upsert(dialect: str, table: Table) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    added = {name: table.c[name] + statement.excluded[name] for name in _SUMMED}
    return statement.on_conflict_do_update(index_elements=["key"], set_=added)


def _sum_key(tenant: str, span: str, dimensions: Row) -> str:
    said = "\x1f".join((tenant, span, *(str(dimensions[name]) for name in _DIMENSIONS)))
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def postings_of(connection: Connection, event: str) -> list[Row]:
    query = select(postings).where(postings.c.event == event).order_by(postings.c.number)
    return rows_of(connection, query)


def list_postings(
    connection: Connection, tenant: str, *, account: str | None, event: str | None, limit: int
) -> list[Row]:
    """Newest first; `account` whole, or as the part before or after a colon: `version:digits@1`."""
    query = select(postings).where(postings.c.tenant == tenant).order_by(postings.c.number.desc()).limit(limit)
    if event is not None:
        query = query.where(postings.c.event == event)
    if account is not None:
        column = postings.c.account
        query = query.where(
            or_(column == account, column.startswith(f"{account}:", autoescape=True),
                column.endswith(f":{account}", autoescape=True), column.contains(f":{account}:", autoescape=True))
        )  # fmt: skip
    return rows_of(connection, query)


def sums(
    connection: Connection,
    tenant: str,
    by: Sequence[str],
    *,
    accounts: Sequence[str] = (),
    where: Mapping[str, str | bool | None] | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[Row]:
    """`micro`, `quantity`, `unknown`, `entries`, `band` summed by the dimensions `by`, from the balances of days, or,
    where no day is asked for, from the totals: how many days there are is then no matter.

    `band`: half width of the quantity's 95 % band, added up as errors of one model are: in full.

    `accounts`: whole names, or prefixes that end with a colon. `where`: dimensions that must be equal (None: any).
    """
    given = {name: value for name, value in (where or {}).items() if value is not None}
    bounds = {"since": since, "until": until}
    days = {name: int(time // _DAY_S) for name, time in bounds.items() if time is not None}
    table = balances if days or "day" in by else totals
    prefixes = tuple(name.endswith(":") for name in accounts)
    query = _sums_query(connection.dialect.name, table, tuple(by), prefixes, tuple(given), tuple(days))
    names = {f"account{place}": _bound(connection, name) for place, name in enumerate(accounts)}
    ends = {f"end{place}": f"{name[:-1]};" for place, name in enumerate(accounts) if name.endswith(":")}
    values = {"of_tenant": tenant, **names, **days, **{f"is_{name}": value for name, value in given.items()}}
    values |= ends if connection.dialect.name == "sqlite" else {}
    rows = [dict(row) for row in connection.execute(query, values).mappings()]
    whole = ("micro", "unknown", "entries")  # PostgreSQL sums whole numbers to decimals
    return [row | {name: int(row[name]) for name in whole} for row in rows if row["entries"]]


@cache
def _sums_query(
    dialect: str, table: Table, by: tuple[str, ...], prefixes: tuple[bool, ...], where: tuple[str, ...],
    days: tuple[str, ...],
) -> Any:  # fmt: skip
    """Made once for each shape: to make and compile it takes longer than to run it."""
    columns = [table.c[name] for name in by]
    summed = [func.sum(table.c[name]).label(name) for name in _SUMMED]
    query = select(*columns, *summed).where(table.c.tenant == bindparam("of_tenant"))
    if prefixes:
        accounts = (_of_account(dialect, table.c.account, place, prefix) for place, prefix in enumerate(prefixes))
        query = query.where(or_(*accounts))
    for name in days:
        moment: Any = bindparam(name)
        query = query.where(table.c.day >= moment if name == "since" else table.c.day <= moment)
    for name in where:
        query = query.where(table.c[name] == bindparam(f"is_{name}"))
    return query.group_by(*columns).order_by(*columns)


def _of_account(dialect: str, account: Any, place: int, prefix: bool) -> Any:
    name: Any = bindparam(f"account{place}")
    if not prefix:
        return account == name
    if dialect == "sqlite":  # whose LIKE does not use the index; a semicolon is what comes after the colon
        return and_(account >= name, account < bindparam(f"end{place}"))
    return account.like(name, escape="/")


def _bound(connection: Connection, name: str) -> str:
    """An account's name; of a prefix, on PostgreSQL, a pattern (its order of words is no order of characters)."""
    if not name.endswith(":") or connection.dialect.name == "sqlite":
        return name
    for mark in ("/", "%", "_"):
        name = name.replace(mark, f"/{mark}")
    return f"{name}%"


# --- rates -----------------------------------------------------------------------------------------------------
def insert_rates(connection: Connection, tenant: str, rows: Sequence[Row]) -> int:
    return insert_new(connection, rates, [{**row, "tenant": tenant} for row in rows])


_RATES = select(*(column for column in rates.c if column.name != "tenant")).where(
    rates.c.tenant == bindparam("of_tenant")
)


def rates_of(connection: Connection, tenant: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(_RATES, {"of_tenant": tenant}).mappings()]


# --- whether a thing exists ------------------------------------------------------------------------------------
def run_exists(connection: Connection, tenant: str, run: str) -> bool:
    return _any(connection, select(runs.c.id).where(runs.c.tenant == tenant, runs.c.id == run))


def version_exists(connection: Connection, tenant: str, model: str, version: int | None) -> bool:
    query = select(versions.c.model).where(versions.c.tenant == tenant, versions.c.model == model)
    return _any(connection, query if version is None else query.where(versions.c.version == version))


def model_planned(connection: Connection, tenant: str, model: str) -> bool:
    """Whether a run of that name makes one."""
    return _any(connection, select(runs.c.id).where(runs.c.tenant == tenant, runs.c.name == model))


def named(connection: Connection, tenant: str, kind: str, name: str) -> bool:
    """Whether the tenant has a `model` or an `endpoint` of that name, or had one that the books know."""
    if kind == "endpoint":
        exists = _any(
            connection, select(endpoints.c.name).where(endpoints.c.tenant == tenant, endpoints.c.name == name)
        )
    else:
        exists = version_exists(connection, tenant, name, None) or model_planned(connection, tenant, name)
    return exists or _any(connection, select(totals.c.key).where(totals.c.tenant == tenant, totals.c[kind] == name))


def dataset_exists(connection: Connection, tenant: str, name: str, version: int) -> bool:
    return _any(
        connection,
        select(dataset_versions.c.name).where(
            dataset_versions.c.tenant == tenant, dataset_versions.c.name == name, dataset_versions.c.version == version
        ),
    )


def dataset_rows(connection: Connection, tenant: str, name: str, version: int) -> int | None:
    """Rows that survived cleaning; None for a dataset version that there is not."""
    query = select(dataset_versions.c.rows).where(
        dataset_versions.c.tenant == tenant, dataset_versions.c.name == name, dataset_versions.c.version == version
    )
    return connection.execute(query).scalar()


def _any(connection: Connection, query: Select[Any]) -> bool:
    return connection.execute(query.limit(1)).scalar() is not None


# --- what the check and the exports read -----------------------------------------------------------------------
def count(connection: Connection, table: str, tenant: str | None = None) -> int:
    counted = {"conflicts": conflicts, **TABLES}[table]
    query = select(func.count()).select_from(counted)
    return int(connection.execute(query if tenant is None else query.where(counted.c.tenant == tenant)).scalar_one())


def unbalanced_events(connection: Connection) -> list[Row]:
    total = func.sum(postings.c.micro)
    query = select(postings.c.event, postings.c.currency, total.label("micro"))
    return rows_of(connection, query.group_by(postings.c.event, postings.c.currency).having(total != 0))


def orphan_postings(connection: Connection) -> list[int]:
    query = select(postings.c.number).outerjoin(events, events.c.id == postings.c.event).where(events.c.id.is_(None))
    return list(connection.execute(query).scalars())


def events_without_postings(connection: Connection) -> list[str]:
    query = select(events.c.id).where(~select(postings.c.number).where(postings.c.event == events.c.id).exists())
    return list(connection.execute(query).scalars())


def events_of_kind(connection: Connection, kind: str) -> Iterator[Row]:
    for row in connection.execute(select(events).where(events.c.kind == kind)).mappings():
        yield dict(row)


def tenants_with_entries(connection: Connection) -> list[str]:
    return list(connection.execute(select(totals.c.tenant).distinct().order_by(totals.c.tenant)).scalars())


def wrong_balances(connection: Connection) -> list[Row]:
    """(tenant, account, currency) where sums that are kept are not the sums of the postings."""
    return [row for table in (balances, totals) for row in _wrong_sums(connection, table)]


def _wrong_sums(connection: Connection, table: Table) -> list[Row]:
    kept, true = _by_account(table, table.c.entries), _by_account(postings, None)
    joined = kept.join(
        true, and_(*(kept.c[name] == true.c[name] for name in ("tenant", "account", "currency"))), full=True
    )
    differ = or_(
        kept.c.tenant.is_(None), true.c.tenant.is_(None), kept.c.micro != true.c.micro,
        kept.c.entries != true.c.entries,
    )  # fmt: skip
    account = func.coalesce(kept.c.account, true.c.account).label("account")
    return rows_of(connection, select(account).select_from(joined).where(differ))


def _by_account(table: Any, entries: Any) -> Any:
    names = [table.c.tenant, table.c.account, table.c.currency]
    counted = func.count() if entries is None else func.sum(entries)
    return select(*names, func.sum(table.c.micro).label("micro"), counted.label("entries")).group_by(*names).subquery()


def table_rows(connection: Connection, table: str, tenant: str, rows: int) -> Iterable[Sequence[Row]]:
    """A whole table in its own order, in parts of `rows`."""
    source = TABLES[table]
    order = source.c.number if table == "postings" else source.c.happened_at
    query = select(source).where(source.c.tenant == tenant).order_by(order)
    result = connection.execution_options(yield_per=rows).execute(query).mappings()
    for part in result.partitions():
        yield [dict(row) for row in part]


def recorded_order(connection: Connection) -> list[str]:
    """Ids of all events in the order of their recording: every event has a posting, and postings are numbered."""
    first = func.min(postings.c.number)
    return list(connection.execute(select(postings.c.event).group_by(postings.c.event).order_by(first)).scalars())
