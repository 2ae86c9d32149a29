"""Budgets that hold requests back, and what gateways have leased of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("budgets", sa.Column("hard", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "leases",
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("id", "tenant", "place", "currency", "gateway", "life")
        ),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("number", "micro", "posted_micro", "unsettled_micro")
        ),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("opened_at", sa.Float(precision=53), nullable=False),
        sa.Column("settled_at", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
    )
    op.create_index(op.f("ix_leases_tenant_place"), "leases", ["tenant", "place"])
    op.create_index(op.f("ix_leases_gateway_state"), "leases", ["gateway", "state"])
