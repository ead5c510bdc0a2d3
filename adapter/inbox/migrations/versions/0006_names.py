"""Plainer names: the lifecycle of orders, starts of work, login attempts, messages of alerts.

Nothing is copied but the table of login attempts, which holds a few minutes' worth: SQLite has no other way to rename its constraint.

Revision ID: 0006
Revises: 0005
"""

from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


class _Renamed(NamedTuple):
    table: str
    old: str
    new: str
    type: type[sa.types.TypeEngine[Any]]
    comment: str


_RENAMED = (
    _Renamed("deliveries", "begun", "starts", sa.Integer, "how often work on it was started and not finished"),
    _Renamed(
        "orders",
        "told",
        "lifecycle",
        sa.Text,
        "JSON: the lifecycle events that Drip has; null: sent by a version that did not record them",
    ),
    _Renamed("attempts", "told", "lifecycle", sa.Text, "JSON: the value of `orders.lifecycle` once Drip has accepted it"),
    _Renamed("alerts", "told_at", "sent_at", sa.BigInteger, "when the message last went to ALERT_URL; null: not yet"),
    _Renamed("alerts", "over_at", "ended_at", sa.BigInteger, "when the trouble ended; the row is deleted once that message is sent"),
    _Renamed("alerts", "words", "message", sa.Text, "what is sent; no personal data"),
)

_COMMENTS = {
    ("deliveries", "detail"): "the reason in a sentence; no personal data",
    ("deliveries", "failed"): "failed attempts that count towards giving up",
    ("deliveries", "forced"): "send even if nothing changed",
    ("deliveries", "order_number"): "as the shopper sees it, without #; for searching",
    ("deliveries", "email_digest"): "of the shopper's address in lower case, for searching; null once erased",
    ("attempts", "answer"): "JSON: a summary of the answer, and Drip's errors about this order",
    ("leases", "pause_reason"): "why Drip accepts nothing from this account, in a sentence",
    ("leases", "single_limit"): "requests per hour reported by Drip, where lower than the setting",
    ("leases", "batch_limit"): "the same for batches",
    ("products", "found"): "false: the store has no such product; fetched again sooner",
    ("products", "source"): "webhook, or the name of the look-up",
    ("audit", "actor"): "who did it; the dashboard has a single administrator",
    ("audit", "detail"): "free text; no personal data",
    ("backfills", "cursor"): "where to continue; null: at the start",
    ("backfills", "found"): "orders the store has returned so far",
    ("backfills", "kept"): "deliveries created from them",
    ("backfills", "ended_at"): "null: interrupted, or still running",
    ("hours", "kind"): "kept, or the state that deliveries reached",
    ("attempts", "outcome"): "null: started, and nothing is known of its end",
}
_TABLE_COMMENTS = {
    "alerts": "Current troubles, and which of them have been sent to ALERT_URL.",
    "leases": "The right to send for an account, held by one sender at a time, and what stops the account.",
    "refusals": "Counts of requests whose signature could not be verified; nothing else of them is kept.",
    "products": "The catalog's cache of the stores' products.",
    "audit": "Every change made by a person, and every view of personal data.",
    "backfills": "How far each backfill has got, so that it can resume.",
    "counters": "Totals since the first start, for monitoring; no purge touches them.",
    "hours": "Deliveries per finished hour of the last month, for the chart.",
    "orders": "What Drip has of each order. Holds no personal data and survives every purge.",
}


def upgrade() -> None:
    has_comments = op.get_bind().dialect.supports_comments
    for column in _RENAMED:
        op.alter_column(column.table, column.old, new_column_name=column.new, existing_type=column.type())
        if has_comments:
            op.alter_column(column.table, column.new, comment=column.comment, existing_type=column.type())
    if has_comments:
        for (table, column_name), comment in _COMMENTS.items():
            op.alter_column(table, column_name, comment=comment)
        for table, comment in _TABLE_COMMENTS.items():
            op.create_table_comment(table, comment)
    op.execute("UPDATE attempts SET outcome = 'unknown' WHERE outcome = 'in_doubt'")
    # The counters of attempts carry the outcome as a label, in JSON.
    op.execute("""UPDATE counters SET labels = replace(labels, '"outcome": "in_doubt"', '"outcome": "unknown"') WHERE name = 'attempts'""")
    _rename_login_attempts()


def _rename_login_attempts() -> None:
    op.create_table(
        "login_attempts",
        sa.Column("visitor", sa.Text(), nullable=False, comment="a keyed digest of the visitor's network address; * for all together"),
        sa.Column("times", sa.Integer(), nullable=False, comment="log-ins counted since then"),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("visitor", name="pk_login_attempts"),
        comment="Log-ins of the last minutes that did not succeed, to limit password guessing.",
    )
    op.execute("INSERT INTO login_attempts (visitor, times, since) SELECT visitor, times, since FROM knocks")
    op.drop_table("knocks")
    op.create_index("ix_login_attempts_since", "login_attempts", ["since"])
