"""Access: forgotten shoppers, dashboard sessions, and the keys of the digests that both are kept as.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COMMENTS = {
    "visitor": "a keyed digest of the visitor's network, or of a browser that has logged in before",
    "times": "failed log-ins in a row",
    "since": "the last one",
}


def upgrade() -> None:
    op.create_table(
        "keys",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_keys"),
        comment="Random keys of this database, each made when it is first needed.",
    )
    op.create_table(
        "forgotten",
        sa.Column("digest", sa.Text(), nullable=False, comment="keyed, of a shopper's address, and of the store that forgot it"),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="when: orders created before must not come back"),
        sa.PrimaryKeyConstraint("digest", name="pk_forgotten"),
        comment="Shoppers who were forgotten. Survives every purge.",
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text(), nullable=False, comment="keyed, of the session's id"),
        sa.Column("password", sa.Text(), nullable=False, comment="a keyed digest of the password it was opened with"),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
        comment="Who is logged in to the dashboard. Logging out deletes the row.",
    )
    if op.get_bind().dialect.supports_comments:
        for column, comment in _COMMENTS.items():
            op.alter_column("login_attempts", column, comment=comment)
