"""The dashboard: what people did, failed log-ins, and two indexes to search by.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    counting = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "audit",
        sa.Column("id", counting, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="who did it: the dashboard knows one administrator"),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="what it was done to: a delivery's id, or which deliveries"),
        sa.Column("detail", sa.Text(), nullable=False, comment="in words; no personal data"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        comment="Each change made by a person, and each look at personal data.",
    )
    op.create_table(
        "knocks",
        sa.Column("visitor", sa.Text(), nullable=False, comment="a keyed digest of the visitor's network address; * for all together"),
        sa.Column("times", sa.Integer(), nullable=False, comment="failed log-ins since then"),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("visitor", name="pk_knocks"),
        comment="Failed log-ins of the last minutes, so that nobody tries passwords without end.",
    )
    op.create_index("ix_knocks_since", "knocks", ["since"])
    op.create_index(
        "ix_deliveries_reason",
        "deliveries",
        ["reason", "id"],
        sqlite_where=sa.text("reason IS NOT NULL"),
        postgresql_where=sa.text("reason IS NOT NULL"),
    )
