"""What the reader has in hand stands in one row, and not with each delivery: that wrote every payload again.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "JSON: the ids of the deliveries that the reader has in hand; null: none"
    op.add_column("leases", sa.Column("reading", sa.Text(), nullable=True, comment=comment))
