"""Instruments: counters that outlive the purge, and what alerts have been told.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False, comment="JSON: label -> value, sorted"),
        sa.Column("slot", sa.SmallInteger(), nullable=False, comment="which of a counter's rows; their sum is its value"),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", "slot", name="pk_counters"),
        comment="What has happened so far, as often as it happened: monitoring reads it, and no purge touches it.",
    )
    op.create_table(
        "alerts",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="the store or account that is in trouble"),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True, comment="when ALERT_URL was told; null: not yet"),
        sa.Column("over_at", sa.BigInteger(), nullable=True, comment="when the trouble ended, until that is told as well"),
        sa.Column("words", sa.Text(), nullable=False, comment="the trouble in words; no personal data"),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_alerts"),
        comment="The troubles of now, and which of them ALERT_URL has been told.",
    )
