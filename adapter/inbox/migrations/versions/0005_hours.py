"""The chart: hours that are over are counted once.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hours",
        sa.Column("begun_at", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="kept, or the state that deliveries came to"),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("begun_at", "kind", name="pk_hours"),
        comment="What became of deliveries in each hour of the last month, once it is over: for the chart.",
    )
