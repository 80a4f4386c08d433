"""events and persons

Revision: 5e0b7c94d1a6
Follows: 8c1d0f6a2e57
Made: 2026-11-26 02:10:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "5e0b7c94d1a6"
down_revision = "8c1d0f6a2e57"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"

OPTIONAL = ("trace_id", "session_id")


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("distinct_id", sa.String(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=True),
        sa.Column("session_id", sa.String(), nullable=True),
        sa.Column("span_id", sa.String(), nullable=True),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("on_behalf_of", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_events_created_by_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_events_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("project_id", "uuid", name=op.f("uq_events_project_id_uuid")),
    )
    op.create_index(op.f("ix_events_project_id_timestamp_id"), "events", ["project_id", "timestamp", "id"])
    for column in ("event", "distinct_id", *OPTIONAL):
        op.create_index(
            op.f(f"ix_events_project_id_{column}_timestamp_id"),
            "events",
            ["project_id", column, "timestamp", "id"],
            postgresql_where=sa.text(f"{column} IS NOT NULL") if column in OPTIONAL else None,
        )
    op.create_table(
        "persons",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("distinct_id", sa.String(), nullable=False),
        sa.Column("properties", postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_persons_project_id_projects")),
        sa.PrimaryKeyConstraint("project_id", "distinct_id", name=op.f("pk_persons")),
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("persons")
    op.drop_table("events")
