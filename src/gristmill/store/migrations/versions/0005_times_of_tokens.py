"""How fast texts were generated, and the energy that they took."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("first_token_us", "per_token_us", "energy_uj"):
        op.add_column("usage", sa.Column(name, sa.BigInteger(), nullable=True))
