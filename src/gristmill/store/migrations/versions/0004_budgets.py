"""Budgets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("tenant", "place")),
        sa.Column("micro", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("currency", "period")),
        *(sa.Column(name, sa.Float(precision=53), nullable=False) for name in ("begins_at", "set_at")),
        sa.PrimaryKeyConstraint("tenant", "place", name=op.f("pk_budgets")),
    )
