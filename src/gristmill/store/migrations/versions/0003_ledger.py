"""The ledger: error bands, re-ratings, postings found by time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rerates", sa.String(), nullable=True))
        batch_op.create_index(batch_op.f("ix_events_rerates"), ["rerates"], unique=False)
    with op.batch_alter_table("postings", schema=None) as batch_op:
        batch_op.add_column(sa.Column("error", sa.Float(precision=53), nullable=True))
        batch_op.create_index(batch_op.f("ix_postings_tenant_happened_at"), ["tenant", "happened_at"], unique=False)
    with op.batch_alter_table("balances", schema=None) as batch_op:
        batch_op.add_column(sa.Column("band", sa.Float(precision=53), nullable=False, server_default="0"))
