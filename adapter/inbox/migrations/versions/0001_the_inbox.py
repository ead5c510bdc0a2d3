"""The inbox: deliveries, what Drip has, requests and attempts, leases, refusals.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="idempotency key; unique within a store"),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False, comment="JSON of the few headers that a mapping may need"),
        sa.Column("payload", sa.LargeBinary(), nullable=True, comment="the body as received; null once erased"),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "parent_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="the delivery that this one was split from",
        ),
        sa.Column("read_at", sa.BigInteger(), nullable=True, comment="when the reader found order and version; null: unread"),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column(
            "snapshot_at", sa.BigInteger(), nullable=True, comment="the store's own time of the snapshot; null: none that can be trusted"
        ),
        sa.Column("progress", sa.Text(), nullable=True, comment="JSON list of numbers: the provider's rank of progress"),
        sa.Column("placed", sa.Boolean(), nullable=True, comment="whether the snapshot shows an order that was really placed"),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it was skipped"),
        sa.Column("detail", sa.Text(), nullable=True, comment="the reason in words; no personal data"),
        sa.Column("problems", sa.Text(), nullable=True, comment="JSON: why it is dead, by path"),
        sa.Column("begun", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="readings or mappings begun and not ended"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="requests it has been part of"),
        sa.Column(
            "failed",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="attempts spent: failures that count towards giving up",
        ),
        sa.Column("forced", sa.Boolean(), server_default=sa.false(), nullable=False, comment="send also what is unchanged"),
        sa.Column(
            "most_together",
            sa.Integer(),
            nullable=True,
            comment="the largest batch it may be part of, since a larger one failed; null: any",
        ),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="when the next attempt is due"),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(state = 'dead') = (problems IS NOT NULL)", name="ck_deliveries_problems"),
        sa.CheckConstraint("(state = 'skipped') = (reason IS NOT NULL)", name="ck_deliveries_reason"),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'skipped', 'dead')", name="ck_deliveries_state"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("store", "key", name=op.f("uq_deliveries_store_key")),
        comment="One authentic inbound request each: record and queue entry. States: pending -> delivered, skipped or dead; "
        "skipped as unpaid or never_placed -> pending when the order is placed; dead -> pending when retried or sent again.",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["store", "priority", "due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'pending' AND read_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'pending' AND read_at IS NOT NULL"),
    )
    op.create_index("ix_deliveries_lane", "deliveries", ["store", "order_id", "state"], unique=False)
    op.create_index("ix_deliveries_state", "deliveries", ["state", "id"], unique=False)
    op.create_index(
        "ix_deliveries_unread",
        "deliveries",
        ["state", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'pending' AND read_at IS NULL"),
        postgresql_where=sa.text("state = 'pending' AND read_at IS NULL"),
    )

    op.create_table(
        "leases",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("paused_since", sa.BigInteger(), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True, comment="why Drip takes nothing from this account, in words"),
        sa.Column("probe_at", sa.BigInteger(), nullable=True, comment="when a paused account tries another order"),
        sa.Column("outage_since", sa.BigInteger(), nullable=True, comment="Drip itself seems to be down; null: it is not"),
        sa.Column("outage_probes", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="probes failed since then"),
        sa.Column("single_closed_until", sa.BigInteger(), nullable=True, comment="single requests wait until then: Drip answered 429"),
        sa.Column("batch_closed_until", sa.BigInteger(), nullable=True, comment="batches wait until then: 429, or no such address"),
        sa.Column(
            "single_limit", sa.Integer(), nullable=True, comment="requests an hour, where Drip has said so and it is less than the setting"
        ),
        sa.Column("batch_limit", sa.Integer(), nullable=True, comment="the same of batches"),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_leases")),
        comment="The right to send for an account, held by one sender at a time, and the account's trouble.",
    )
    op.create_table(
        "orders",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("snapshot_at", sa.BigInteger(), nullable=True, comment="with progress and delivery_id: the version that Drip has"),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="of the body that Drip has"),
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="when Drip first had the order"),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "store", "order_id", name=op.f("pk_orders")),
        comment="What Drip has of each order. Holds no personal data and outlives every purge.",
    )
    op.create_table(
        "refusals",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "reason", name=op.f("pk_refusals")),
        comment="Requests that were not proved genuine: only that there were some.",
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True, comment="Drip's HTTP status; null: no answer"),
        sa.CheckConstraint("kind IN ('single', 'batch')", name="ck_requests_kind"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        comment="Every POST to Drip, committed before it is made: the ledger of the quota.",
    )
    op.create_index("ix_requests_ledger", "requests", ["account", "kind", "begun_at"], unique=False)

    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("request_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True, comment="as posted; null once erased"),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True, comment="null: begun and no outcome known"),
        sa.Column("drip_request_id", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True, comment="JSON: how it ended in words, and what Drip said of this order"),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_attempts_delivery_id_deliveries", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name="fk_attempts_request_id_requests", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        comment="A delivery's part in a request to Drip; its body is stored before it is posted.",
    )
    op.create_index("ix_attempts_delivery_id", "attempts", ["delivery_id"], unique=False)
    op.create_index("ix_attempts_request_id", "attempts", ["request_id"], unique=False)
