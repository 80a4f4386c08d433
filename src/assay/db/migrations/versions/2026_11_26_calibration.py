"""labels by people and calibrations of judges

Revision: 9b3e7d25f8a1
Follows: 4f6a92d1c0b7
Made: 2026-11-26 03:06:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "9b3e7d25f8a1"
down_revision = "4f6a92d1c0b7"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"


def owner_columns() -> list[sa.Column]:
    return [
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("on_behalf_of", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
    ]


def owner_constraints(table: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f(f"fk_{table}_created_by_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f(f"fk_{table}_project_id_projects")),
    ]


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "labels",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("labeler", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *owner_columns(),
        sa.CheckConstraint("subject_kind IN ('sample', 'event')", name=op.f("ck_labels_subject_kind")),
        *owner_constraints("labels"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
    )
    identity = ["project_id", "subject_kind", "subject_id", "metric", "labeler"]
    op.create_index("uq_labels_subject", "labels", identity, unique=True)
    op.create_index("ix_labels_project_id_id", "labels", ["project_id", "id"])
    op.create_index("ix_labels_project_id_metric", "labels", ["project_id", "metric"])
    op.create_table(
        "calibrations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("judge_version", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        *owner_columns(),
        *owner_constraints("calibrations"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calibrations")),
    )
    op.create_index("ix_calibrations_project_id_id", "calibrations", ["project_id", "id"])
    by_judge = ["project_id", "judge_version", "metric", "id"]
    op.create_index("ix_calibrations_project_id_judge_version", "calibrations", by_judge)


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("calibrations")
    op.drop_table("labels")
