"""stored datasets

Revision: 8c1d0f6a2e57
Follows: 2b17cccd01da
Made: 2026-11-25 23:10:00
"""

import sqlalchemy as sa
from alembic import op

revision = "8c1d0f6a2e57"
down_revision = "2b17cccd01da"
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
        "datasets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("metadata", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *owner_columns(),
        *owner_constraints("datasets"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
    )
    op.create_index(
        op.f("ix_datasets_project_id_created_at_id"), "datasets", ["project_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "dataset_items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("input", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("expected", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("metadata", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("source_trace_id", sa.String(), nullable=True),
        sa.Column("source_timestamp", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source_event_id", sa.String(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *owner_columns(),
        *owner_constraints("dataset_items"),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_items_dataset_id_datasets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_items")),
    )
    for column in ("project_id", "dataset_id"):
        op.create_index(
            op.f(f"ix_dataset_items_{column}_created_at_id"),
            "dataset_items",
            [column, "created_at", "id"],
            unique=False,
        )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("dataset_items")
    op.drop_table("datasets")
