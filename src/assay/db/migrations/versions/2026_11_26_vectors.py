"""vectors of embedding tasks

Revision: 5e0b7a94c3d1
Follows: 1ba1cc2bf3ac
Made: 2026-11-26 03:45:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "5e0b7a94c3d1"
down_revision = "1ba1cc2bf3ac"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.add_column("run_items", sa.Column("protocol", postgresql.JSONB(), nullable=True))
    op.add_column("run_samples", sa.Column("vectors", sa.LargeBinary(), nullable=True))
    # Floating-point numbers do not compress, so trying is lost time.
    op.execute("ALTER TABLE run_samples ALTER COLUMN vectors SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_column("run_samples", "vectors")
    op.drop_column("run_items", "protocol")
