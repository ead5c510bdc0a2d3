"""Accounts: whether Drip has accepted the credentials, and when somebody asked to try again.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, kind, comment in (
        ("proved_with", sa.Text(), "a digest of the credentials that Drip has accepted; null: none so far"),
        ("proof_failed", sa.Text(), "why Drip has not accepted them, at the last try; null: not tried"),
        ("proof_since", sa.BigInteger(), "when Drip first did not accept them"),
        ("proof_at", sa.BigInteger(), "when they are tried again"),
        ("resumed_at", sa.BigInteger(), "when a person last asked to try this account at once"),
    ):
        op.add_column("leases", sa.Column(name, kind, nullable=True, comment=comment))
