"""PostgreSQL: room in the pages of deliveries for the versions that an order's updates leave behind, which are cleared away sooner.

Only pages written from now on have it; nothing is rewritten, and nobody has to wait.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE deliveries SET (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05)")
        op.execute("ALTER TABLE attempts SET (autovacuum_vacuum_scale_factor = 0.05)")
