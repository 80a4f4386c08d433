"""revisions of datasets that a run reads

Revision: 8d41f6c2b09e
Follows: 5e0b7a94c3d1
Made: 2026-11-26 08:00:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "8d41f6c2b09e"
down_revision = "5e0b7a94c3d1"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.add_column(
        "runs",
        sa.Column("dataset_revisions", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_column("runs", "dataset_revisions")
