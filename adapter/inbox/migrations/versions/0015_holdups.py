"""Holdups: what keeps a store's orders from being read; refusals that come back; what a retried delivery was dead of before.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "holdups",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="store_api or locked"),
        sa.Column("why", sa.Text(), nullable=False, comment="the cause in a sentence; no personal data"),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="when it is tried again"),
        sa.PrimaryKeyConstraint("store", "reason", name=op.f("pk_holdups")),
        comment="What kept orders of a store from being read at the last try, apart from Drip.",
    )
    before = sa.Column(
        "before_at", sa.BigInteger(), nullable=True, comment="the last refusal before the newest accepted webhook between two"
    )
    op.add_column("refusals", before)
    returns = sa.Column(
        "returns", sa.Integer(), nullable=False, server_default=sa.text("0"), comment="how often refusals came back like that"
    )
    op.add_column("refusals", returns)
    op.add_column("deliveries", sa.Column("problems_before", sa.Text(), nullable=True, comment="why it was dead before it was retried"))
