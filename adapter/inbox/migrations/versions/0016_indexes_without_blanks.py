"""Indexes leave out the deliveries that have nothing in their first column: a webhook that is stored then writes four of them less.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# By index: its columns, and the one that must not be null.
_INDEXES = {
    "ix_deliveries_lane": (["store", "order_id", "state"], "order_id"),
    "ix_deliveries_order_number": (["order_number", "id"], "order_number"),
    "ix_deliveries_email_digest": (["email_digest", "id"], "email_digest"),
    "ix_deliveries_settled_at": (["settled_at", "id", "state"], "settled_at"),
}


def upgrade() -> None:
    for name, (columns, needed) in _INDEXES.items():
        op.drop_index(name, table_name="deliveries")
        condition = sa.text(f"{needed} IS NOT NULL")
        op.create_index(name, "deliveries", columns, unique=False, sqlite_where=condition, postgresql_where=condition)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "COMMENT ON COLUMN leases.reading IS 'JSON: the ids of the deliveries that the holder is reading or mapping; null: none'"
        )
