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


def upgrade() -> None:
    has_comments = op.get_bind().dialect.supports_comments
    for column in _RENAMED:
        op.alter_column(column.table, column.old, new_column_name=column.new, existing_type=column.type())
        if has_comments:
            op.alter_column(column.table, column.new, comment=column.comment, existing_type=column.type())
    if has_comments:
        op.alter_column("attempts", "outcome", comment="null: started, and nothing is known of its end", existing_type=sa.Text())
        op.create_table_comment("alerts", "Current troubles, and which of them have been sent to ALERT_URL.")
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
