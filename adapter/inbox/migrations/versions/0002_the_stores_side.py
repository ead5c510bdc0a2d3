"""The stores' side: the catalog, past orders, what Drip was told, and what the inbox is searched by.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "deliveries", sa.Column("order_number", sa.Text(), nullable=True, comment="as the shopper knows it, without #; to search by")
    )
    op.add_column(
        "deliveries",
        sa.Column(
            "email_digest", sa.Text(), nullable=True, comment="of the shopper's address in lower case, to search by; null once erased"
        ),
    )
    op.create_index("ix_deliveries_store", "deliveries", ["store", "id"])
    op.create_index("ix_deliveries_order_number", "deliveries", ["order_number", "id"])
    op.create_index("ix_deliveries_email_digest", "deliveries", ["email_digest", "id"])
    op.create_index("ix_deliveries_arrivals", "deliveries", ["store", "priority", "received_at"])
    op.create_index("ix_deliveries_settled_at", "deliveries", ["settled_at", "id", "state"])
    op.add_column(
        "orders",
        sa.Column(
            "told",
            sa.Text(),
            nullable=True,
            comment="JSON: how far Drip knows the order to have come; null: from before this was remembered",
        ),
    )
    op.add_column("attempts", sa.Column("told", sa.Text(), nullable=True, comment="JSON: what `orders.told` becomes if Drip takes it"))
    op.add_column(
        "attempts", sa.Column("looked_up", sa.Text(), nullable=True, comment="JSON: where each product's page and picture came from")
    )
    op.create_table(
        "products",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("view", sa.Text(), nullable=False, comment="Magento's store view; blank elsewhere"),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("variant_id", sa.Text(), nullable=False, comment="blank for the product itself"),
        sa.Column("found", sa.Boolean(), nullable=False, comment="false: the store knows no such product; asked again sooner"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("image_url", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("categories", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column("tags", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column("source", sa.Text(), nullable=False, comment="who said so: webhook, or the name of a look-up"),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "view", "product_id", "variant_id", name="pk_products"),
        comment="The catalog's cache: what stores have said of their products.",
    )
    op.create_index("ix_products_fetched_at", "products", ["fetched_at"])
    op.create_table(
        "backfills",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("window", sa.Text(), nullable=False, comment="JSON: which orders were asked for"),
        sa.Column("cursor", sa.Text(), nullable=True, comment="where to go on; null: at the beginning"),
        sa.Column("found", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="orders that the store has named so far"),
        sa.Column("kept", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="of these, deliveries made"),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True, comment="null: broken off, or still running"),
        sa.PrimaryKeyConstraint("store", "window", name="pk_backfills"),
        comment="How far each reading of past orders has come, so that it can go on.",
    )
