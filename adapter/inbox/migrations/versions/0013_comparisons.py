"""Comparisons: whether the amounts of a store's newest orders add up to their totals.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "comparisons",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("compared_at", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=True, comment="since when the amounts differ a lot; null: they don't"),
        sa.Column("orders", sa.Integer(), nullable=False, comment="how many were compared"),
        sa.Column("differing", sa.Integer(), nullable=False, comment="how many of them differ"),
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True, comment="the newest that differs"),
        sa.Column("difference", sa.Text(), nullable=True, comment="by how much that one differs, in a sentence; no personal data"),
        sa.Column("advice", sa.Text(), nullable=True, comment="what to do about it"),
        sa.PrimaryKeyConstraint("store", name=op.f("pk_comparisons")),
        comment="Whether the amounts of each store's newest orders add up to their totals, where any did not so far.",
    )
