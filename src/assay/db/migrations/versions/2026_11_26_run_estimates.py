"""estimates of runs that have a ceiling

Revision: 3e9a7c14d6b8
Follows: 8d41c6f0b7e2
Made: 2026-11-26 08:55:00
"""

import sqlalchemy as sa
from alembic import op

revision = "3e9a7c14d6b8"
down_revision = "8d41c6f0b7e2"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.add_column("runs", sa.Column("estimate_usd", sa.Numeric(20, 10), nullable=True))


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_column("runs", "estimate_usd")
