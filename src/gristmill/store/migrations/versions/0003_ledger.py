"""The ledger: error bands, re-ratings, postings found by time, sums over all days."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None

_DIMENSIONS = ("account", "item", "currency", "unit", "basis", "rate", "model", "version", "endpoint", "run")
_KEYED = ("account", "item", "currency", "unit", "basis", "rate", "unpriced", "model", "version", "endpoint", "run")
_SUMMED = ("micro", "quantity", "unknown", "entries", "band")


def upgrade() -> None:
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rerates", sa.String(), nullable=True))
        batch_op.create_index(batch_op.f("ix_events_rerates"), ["rerates"], unique=False)
    with op.batch_alter_table("postings", schema=None) as batch_op:
        batch_op.add_column(sa.Column("error", sa.Float(precision=53), nullable=True))
        batch_op.create_index(batch_op.f("ix_postings_tenant_happened_at"), ["tenant", "happened_at"], unique=False)
    with op.batch_alter_table("balances", schema=None) as batch_op:
        batch_op.add_column(sa.Column("band", sa.Float(precision=53), nullable=False, server_default="0"))
        batch_op.drop_index(batch_op.f("ix_balances_tenant_version"))
        batch_op.drop_index(batch_op.f("ix_balances_tenant_run"))
        batch_op.create_index(batch_op.f("ix_balances_tenant_day"), ["tenant", "day"], unique=False)
    op.create_table(
        "totals",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("key", "tenant", *_DIMENSIONS)),
        sa.Column("unpriced", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("micro", "unknown", "entries")),
        sa.Column("quantity", sa.Float(precision=53), nullable=False),
        sa.Column("band", sa.Float(precision=53), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_totals")),
    )
    with op.batch_alter_table("totals", schema=None) as batch_op:
        for column in ("account", "version", "run"):
            batch_op.create_index(batch_op.f(f"ix_totals_tenant_{column}"), ["tenant", column], unique=False)
    _fill_totals()


def _fill_totals() -> None:
    """The sums over all days; the key is as books/records.py makes it."""
    balances = sa.table("balances", *(sa.column(name) for name in ("tenant", "unpriced", *_DIMENSIONS, *_SUMMED)))
    totals = sa.table("totals", *(sa.column(name) for name in ("key", "tenant", "unpriced", *_DIMENSIONS, *_SUMMED)))
    by = [balances.c[name] for name in ("tenant", *_KEYED)]
    query = sa.select(*by, *(sa.func.sum(balances.c[name]).label(name) for name in _SUMMED)).group_by(*by)
    for row in op.get_bind().execute(query).mappings().all():
        said = "\x1f".join((row["tenant"], "ever", *(str(row[name]) for name in _KEYED)))
        key = hashlib.sha256(said.encode()).hexdigest()[:32]
        op.execute(totals.insert().values(key=key, **row))
