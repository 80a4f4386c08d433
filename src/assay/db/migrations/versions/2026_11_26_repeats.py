"""repeats of a prompt within a run

Revision: 4f6a92d1c0b7
Follows: a4b1f7c20e93
Made: 2026-11-26 02:40:00
"""

import sqlalchemy as sa
from alembic import op

revision = "4f6a92d1c0b7"
down_revision = "a4b1f7c20e93"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"

KEY = ["run_id", "task_no", "model_no", "sample_index"]
FOREIGN_KEY = "fk_run_trajectories_run_samples"
FAILED = "ix_run_samples_failed"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    # Constant defaults: no row is rewritten.
    op.add_column("runs", sa.Column("repeats", sa.SmallInteger(), server_default=sa.text("1"), nullable=False))
    for table in ("run_samples", "run_trajectories"):
        column = sa.Column("repeat_no", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)
        op.add_column(table, column)
    _use_key([*KEY, "repeat_no"])


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    # What was repeated has no place in the old key.
    op.execute("DELETE FROM run_samples WHERE repeat_no > 0")
    _use_key(KEY)
    for table in ("run_samples", "run_trajectories"):
        op.drop_column(table, "repeat_no")
    op.drop_column("runs", "repeats")


def _use_key(key: list[str]) -> None:
    op.drop_constraint(FOREIGN_KEY, "run_trajectories", type_="foreignkey")
    op.drop_constraint(op.f("pk_run_samples"), "run_samples", type_="primary")
    op.create_primary_key(op.f("pk_run_samples"), "run_samples", key)
    op.create_foreign_key(FOREIGN_KEY, "run_trajectories", "run_samples", key, key, ondelete="CASCADE")
    op.drop_index(FAILED, table_name="run_samples")
    op.create_index(FAILED, "run_samples", key, postgresql_where=sa.text("status = 'failed'"))
