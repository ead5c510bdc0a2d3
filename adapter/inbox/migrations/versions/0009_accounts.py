"""Accounts: what is due is found by account, what is unread by store, each with one look whatever their number.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_WAITING = sa.text("state = 'pending' AND read_at IS NOT NULL")
_UNREAD = sa.text("state = 'pending' AND read_at IS NULL")


def upgrade() -> None:
    # The sender enters the accounts of what waits when it starts: only the settings name them.
    op.add_column(
        "deliveries",
        sa.Column(
            "account",
            sa.Text(),
            nullable=True,
            comment="the Drip account that it is to go to; null: unread, not an order, or its store has no account",
        ),
    )
    op.drop_index("ix_deliveries_due", "deliveries")
    op.drop_index("ix_deliveries_unread", "deliveries")
    _create_index("ix_deliveries_due", ["account", "priority", "due_at", "id", "state", "read_at"], _WAITING)
    _create_index("ix_deliveries_waiting", ["store", "priority", "due_at", "state", "read_at"], _WAITING)
    _create_index("ix_deliveries_unread", ["priority", "store", "id"], _UNREAD)
    op.create_index("ix_orders_lane", "orders", ["store", "order_id"])


def _create_index(name: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, "deliveries", columns, sqlite_where=where, postgresql_where=where)
