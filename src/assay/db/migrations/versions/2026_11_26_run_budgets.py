"""ceilings on what runs may cost

Revision: 8d3c5b71e9f2
Follows: 8d41f6c2b09e
Made: 2026-11-26 08:10:00
"""

import sqlalchemy as sa
from alembic import op

revision = "8d3c5b71e9f2"
down_revision = "8d41f6c2b09e"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"

MONEY = sa.Numeric(20, 10)


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.add_column("runs", sa.Column("budget_usd", MONEY, nullable=True))
    # A constant default: no row is rewritten. Runs of before are not counted up; none of them has a ceiling.
    op.add_column("runs", sa.Column("spent_usd", MONEY, server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_column("runs", "spent_usd")
    op.drop_column("runs", "budget_usd")
