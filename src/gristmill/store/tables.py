"""Every table. A tenant stands on every row; what a row means belongs to the room that keeps it (its `records.py`)."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, String, nullable=null)


def _time(name: str, *, null: bool = False) -> Column[float]:
    return Column(name, Float(53), nullable=null)  # seconds since the epoch, UTC


def _json(name: str, *, null: bool = False) -> Column[object]:
    return Column(name, JSON, nullable=null)


# fmt: off
# --- who -------------------------------------------------------------------------------------------------------
tenants = Table(
    "tenants", metadata,
    _text("tenant"), _time("created_at"), Column("weight", Integer, nullable=False, default=1),
    PrimaryKeyConstraint("tenant"),
)
keys = Table(
    "keys", metadata,
    _text("id"), _text("tenant"), _text("name"), _text("role"), _json("scopes"), _json("limits"),
    Column("secret_hash", LargeBinary, nullable=False), _time("created_at"), _time("expires_at", null=True),
    _time("revoked_at", null=True), _text("project", null=True),
    PrimaryKeyConstraint("id"), Index(None, "tenant"),
)
audit = Table(
    "audit", metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True),
    _text("tenant"), _time("at"), _text("key"), _text("action"), _text("target"), _json("detail"),
    PrimaryKeyConstraint("number"), Index(None, "tenant", "at"),
)

# --- data ------------------------------------------------------------------------------------------------------
dataset_versions = Table(
    "dataset_versions", metadata,
    _text("tenant"), _text("name"), Column("version", Integer, nullable=False), _text("digest"),
    _text("task", null=True),
    _json("manifest"), _json("profile"), _text("source", null=True), _text("licence", null=True),
    Column("cost_micro", BigInteger, nullable=True), _text("currency", null=True),
    Column("rows", BigInteger, nullable=False), Column("bytes", BigInteger, nullable=False), _time("created_at"),
    PrimaryKeyConstraint("tenant", "name", "version"), UniqueConstraint("tenant", "name", "digest"),
)

# --- work ------------------------------------------------------------------------------------------------------
runs = Table(
    "runs", metadata,
    _text("id"), _text("tenant"), _text("kind"), _text("state"), _text("name"), Column("priority", Integer,
    nullable=False),
    Column("attempt", Integer, nullable=False), _json("request"), _json("resources"), _json("progress"),
    _json("metrics"),
    _json("report"), _json("use"), _text("made", null=True), _text("error", null=True), _time("created_at"),
    _time("started_at", null=True), _time("ended_at", null=True), Column("cancel", Boolean, nullable=False,
    default=False),
    PrimaryKeyConstraint("id"), Index(None, "tenant", "created_at"), Index(None, "state"),
)

# --- models ----------------------------------------------------------------------------------------------------
versions = Table(
    "versions", metadata,
    _text("tenant"), _text("model"), Column("version", Integer, nullable=False), _text("digest"), _text("task"),
    _json("manifest"), _text("run", null=True), _json("metrics"), _text("state"), _time("created_at"),
    PrimaryKeyConstraint("tenant", "model", "version"), UniqueConstraint("tenant", "model", "run"),
    Index(None, "digest"),
)
aliases = Table(
    "aliases", metadata,
    _text("tenant"), _text("model"), _text("alias"), Column("version", Integer, nullable=False), _time("changed_at"),
    PrimaryKeyConstraint("tenant", "model", "alias"),
)
alias_history = Table(
    "alias_history", metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True),
    _text("tenant"), _text("model"), _text("alias"), Column("version", Integer, nullable=True), _time("changed_at"),
    _text("key"),
    PrimaryKeyConstraint("number"), Index(None, "tenant", "model"),
)

# --- serving ---------------------------------------------------------------------------------------------------
endpoints = Table(
    "endpoints", metadata,
    _text("tenant"), _text("name"), Column("generation", Integer, nullable=False), _json("spec"), _text("state"),
    _json("previous", null=True), _time("created_at"), _time("changed_at"),
    PrimaryKeyConstraint("tenant", "name"),
)
rollouts = Table(
    "rollouts", metadata,
    _text("id"), _text("tenant"), _text("endpoint"), _text("strategy"), _text("state"), _json("detail"),
    Column("generation", Integer, nullable=False), _text("error", null=True), _time("created_at"),
    _time("ended_at", null=True),
    PrimaryKeyConstraint("id"), UniqueConstraint("tenant", "endpoint", "generation"),
)
replicas = Table(
    "replicas", metadata,
    _text("id"), _text("tenant"), _text("endpoint"), _text("model"), _text("digest"), _text("state"),
    _json("resources"),
    Column("restarts", Integer, nullable=False), _time("created_at"), _time("ready_at", null=True),
    _time("ended_at", null=True),
    _json("booked"), _text("error", null=True),
    PrimaryKeyConstraint("id"), Index(None, "tenant", "endpoint"), Index(None, "state"),
)

# --- books -----------------------------------------------------------------------------------------------------
rates = Table(
    "rates", metadata,
    _text("id"), _text("tenant"), _text("card"), _text("item"), _text("unit"), _text("price"), _text("currency"),
    _text("basis"), _time("valid_from"), _time("valid_to", null=True), _time("known_from"), _text("note"),
    PrimaryKeyConstraint("id"), Index(None, "tenant", "card", "item"),
)
budgets = Table(
    "budgets", metadata,
    _text("tenant"), _text("place"), Column("micro", BigInteger, nullable=False), _text("currency"), _text("period"),
    _time("begins_at"), _time("set_at"), Column("hard", Boolean, nullable=False, default=False),
    PrimaryKeyConstraint("tenant", "place"),
)
leases = Table(
    "leases", metadata,
    _text("id"), _text("tenant"), _text("place"), _text("currency"), _text("gateway"), _text("life"),
    *(Column(name, BigInteger, nullable=False) for name in ("number", "micro", "posted_micro", "unsettled_micro")),
    _text("state"), _time("opened_at"), _time("settled_at", null=True),
    PrimaryKeyConstraint("id"), Index(None, "tenant", "place"), Index(None, "gateway", "state"),
)
events = Table(
    "events", metadata,
    _text("id"), _text("tenant"), _text("kind"), _text("payload_hash"), _json("payload"), _time("happened_at"),
    _time("recorded_at"), _text("reverses", null=True), _text("rerates", null=True),
    PrimaryKeyConstraint("id"), UniqueConstraint("reverses"), Index(None, "tenant", "happened_at"),
    Index(None, "rerates"),
)
postings = Table(
    "postings", metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True),
    _text("event"), _text("tenant"), _text("account"), Column("micro", BigInteger, nullable=False), _text("currency"),
    Column("quantity", Float(53), nullable=True), _text("unit", null=True), _text("basis"), _text("rate", null=True),
    Column("unpriced", Boolean, nullable=False, default=False), _time("happened_at"),
    _text("model", null=True), _text("version", null=True), _text("endpoint", null=True), _text("run", null=True),
    _text("item", null=True), Column("error", Float(53), nullable=True),
    PrimaryKeyConstraint("number"), ForeignKeyConstraint(["event"], ["events.id"]),
    Index(None, "tenant", "account"), Index(None, "event"), Index(None, "version"),
    Index(None, "tenant", "happened_at"),
)
_SUMMED = ("account", "item", "currency", "unit", "basis", "rate", "model", "version", "endpoint", "run")


def _sums(name: str, *more: SchemaItem) -> Table:
    """Sums of postings by dimension, moved in the postings' own transaction."""
    return Table(
        name, metadata,
        _text("key"), _text("tenant"), *(_text(dimension) for dimension in _SUMMED),
        Column("unpriced", Boolean, nullable=False), Column("micro", BigInteger, nullable=False),
        Column("quantity", Float(53), nullable=False), Column("unknown", BigInteger, nullable=False),
        Column("entries", BigInteger, nullable=False), Column("band", Float(53), nullable=False, server_default="0"),
        PrimaryKeyConstraint("key"), Index(None, "tenant", "account"), *more,
    )  # fmt: skip


balances = _sums("balances", Column("day", Integer, nullable=False), Index(None, "tenant", "day"))  # by day
totals = _sums("totals", Index(None, "tenant", "version"), Index(None, "tenant", "run"))  # ever
conflicts = Table(
    "conflicts", metadata,  # an event id that came again with another payload: refused, and reported here
    Column("number", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True),
    _text("event"), _text("tenant"), _json("payload"), _time("recorded_at"),
    PrimaryKeyConstraint("number"),
)
usage = Table(
    "usage", metadata,
    _text("id"), _text("tenant"), _text("key"), _text("endpoint"), _text("model"), _text("digest"), _text("operation"),
    Column("status", Integer, nullable=False), _time("happened_at"), Column("items", BigInteger, nullable=False),
    Column("compute_us", BigInteger, nullable=False), Column("latency_us", BigInteger, nullable=False),
    Column("bytes_in", BigInteger, nullable=False), Column("bytes_out", BigInteger, nullable=False), _json("tokens"),
    _text("event", null=True),
    Column("first_token_us", BigInteger), Column("per_token_us", BigInteger), Column("energy_uj", BigInteger),
    Column("cached", Boolean),
    PrimaryKeyConstraint("id"), Index(None, "tenant", "endpoint", "happened_at"), Index(None, "event"),
)
cursors = Table(
    "cursors", metadata,  # how far a file or the outbox is posted: moves in the postings' own transaction
    _text("name"), Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("name"),
)
outbox = Table(
    "outbox", metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True),
    _text("event"), _text("tenant"), _text("kind"), _json("payload"), _time("happened_at"),
    PrimaryKeyConstraint("number"), UniqueConstraint("event"),
)
