"""When snapshots and copies arrived: an order may return to an earlier state.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "deliveries",
        sa.Column(
            "copied_at",
            sa.BigInteger(),
            nullable=True,
            comment="when its newest copy arrived; null: none, or it was kept as a delivery",
        ),
    )
    op.add_column(
        "orders",
        sa.Column(
            "received_at",
            sa.BigInteger(),
            nullable=True,
            comment="when the snapshot that Drip has arrived here; null: recorded by an earlier version",
        ),
    )
