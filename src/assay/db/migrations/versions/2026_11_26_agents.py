"""agents

Revision: 6abe4c6db6cc
Follows: c71ca83ce494
Made: 2026-11-26 02:17:14.288904
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "6abe4c6db6cc"
down_revision = "c71ca83ce494"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"
ACTIONS = ("start", "cancel", "signal_with_start", "sync")


def check_actions(actions: tuple[str, ...]) -> None:
    """Keep the outbox to these actions."""
    op.drop_constraint(op.f("ck_outbox_action"), "outbox", type_="check")
    listed = ", ".join(f"'{action}'" for action in actions)
    op.create_check_constraint(op.f("ck_outbox_action"), "outbox", f"action IN ({listed})")


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    check_actions((*ACTIONS, "signal"))
    op.create_table(
        "agents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retention_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("on_behalf_of", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_agents_created_by_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_agents_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    op.create_index("ix_agents_project_id_id", "agents", ["project_id", "id"], unique=False)
    op.create_table(
        "function_tools",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("definition", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("on_behalf_of", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_function_tools_created_by_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_function_tools_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_function_tools")),
    )
    op.create_index("ix_function_tools_project_id_id", "function_tools", ["project_id", "id"], unique=False)
    op.create_table(
        "agent_schedules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("spec", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("input", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("conversation", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("previous_response_id", sa.String(), nullable=True),
        sa.Column("context_management", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("metadata", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("anchor_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("settled_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_id", sa.Uuid(), nullable=True),
        sa.Column("run_count", sa.Integer(), nullable=False),
        sa.Column("missed_count", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("on_behalf_of", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('active', 'paused', 'completed', 'deleted')", name=op.f("ck_agent_schedules_status")
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_agent_schedules_agent_id_agents")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_agent_schedules_created_by_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_agent_schedules_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_schedules")),
    )
    op.create_index("ix_agent_schedules_agent_id_id", "agent_schedules", ["agent_id", "id"], unique=False)
    op.create_index(
        "ix_agent_schedules_due",
        "agent_schedules",
        ["next_due_at"],
        unique=False,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_index("ix_agent_schedules_project_id_id", "agent_schedules", ["project_id", "id"], unique=False)
    op.create_table(
        "agent_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("restored_from", sa.Integer(), nullable=True),
        sa.Column("configuration", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_agent_versions_agent_id_agents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_versions")),
    )
    op.create_index("ix_agent_versions_agent_id_number", "agent_versions", ["agent_id", "number"], unique=True)
    op.create_table(
        "agent_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("agent_version", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("snapshot", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("limits", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("input", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("conversation", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("previous_response_id", sa.String(), nullable=True),
        sa.Column("context_management", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("metadata", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("response_id", sa.Uuid(), nullable=True),
        sa.Column("response", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("tool_calls", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=True),
        sa.Column("cost_usd", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("step_count", sa.Integer(), nullable=False),
        sa.Column("event_count", sa.Integer(), nullable=False),
        sa.Column("sleeping_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("schedule_id", sa.Uuid(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("parent_run_id", sa.Uuid(), nullable=True),
        sa.Column("parent_call_id", sa.String(), nullable=True),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Uuid(), nullable=True),
        sa.Column("sample_attempt", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("on_behalf_of", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "origin IN ('caller', 'schedule', 'approval', 'agent', 'sample')", name=op.f("ck_agent_runs_origin")
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'submitting', 'completed', 'failed', 'cancelled', 'incomplete')",
            name=op.f("ck_agent_runs_status"),
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_agent_runs_agent_id_agents")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_agent_runs_created_by_users")),
        sa.ForeignKeyConstraint(
            ["parent_run_id"], ["agent_runs.id"], name=op.f("fk_agent_runs_parent_run_id_agent_runs")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_agent_runs_project_id_projects")),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["agent_schedules.id"], name=op.f("fk_agent_runs_schedule_id_agent_schedules")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_runs")),
    )
    op.create_index("ix_agent_runs_agent_id_id", "agent_runs", ["agent_id", "id"], unique=False)
    op.create_index(
        "ix_agent_runs_call",
        "agent_runs",
        ["parent_run_id", "parent_call_id"],
        unique=True,
        postgresql_where=sa.text("parent_run_id IS NOT NULL"),
    )
    op.create_index(
        "ix_agent_runs_fire",
        "agent_runs",
        ["schedule_id", "due_at"],
        unique=True,
        postgresql_where=sa.text("schedule_id IS NOT NULL"),
    )
    op.create_index(
        "ix_agent_runs_live",
        "agent_runs",
        ["agent_id"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'submitting')"),
    )
    op.create_index("ix_agent_runs_project_id_id", "agent_runs", ["project_id", "id"], unique=False)
    op.create_index(
        "ix_agent_runs_response_id",
        "agent_runs",
        ["response_id"],
        unique=False,
        postgresql_where=sa.text("response_id IS NOT NULL"),
    )
    op.create_index(
        "ix_agent_runs_sample",
        "agent_runs",
        ["sample_id", "sample_attempt"],
        unique=True,
        postgresql_where=sa.text("sample_id IS NOT NULL"),
    )
    op.create_table(
        "agent_run_approvals",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("call", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("continuation_run_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["continuation_run_id"],
            ["agent_runs.id"],
            name=op.f("fk_agent_run_approvals_continuation_run_id_agent_runs"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["agent_runs.id"], name=op.f("fk_agent_run_approvals_run_id_agent_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "request_id", name=op.f("pk_agent_run_approvals")),
    )
    op.create_table(
        "agent_run_events",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["agent_runs.id"], name=op.f("fk_agent_run_events_run_id_agent_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "sequence", name=op.f("pk_agent_run_events")),
    )
    op.create_table(
        "agent_run_steps",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("items", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=True),
        sa.Column("cost_usd", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('model_turn', 'tool_call', 'compaction')", name=op.f("ck_agent_run_steps_kind")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["agent_runs.id"], name=op.f("fk_agent_run_steps_run_id_agent_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_agent_run_steps")),
    )
    op.create_index("ix_agent_run_steps_run_id_position", "agent_run_steps", ["run_id", "position"], unique=True)
    op.create_table(
        "agent_run_wakes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("input", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["agent_runs.id"], name=op.f("fk_agent_run_wakes_run_id_agent_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_run_wakes")),
    )
    op.create_index("ix_agent_run_wakes_run_id_id", "agent_run_wakes", ["run_id", "id"], unique=False)


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("agent_run_wakes")
    op.drop_table("agent_run_steps")
    op.drop_table("agent_run_events")
    op.drop_table("agent_run_approvals")
    op.drop_table("agent_runs")
    op.drop_table("agent_versions")
    op.drop_table("agent_schedules")
    op.drop_table("function_tools")
    op.drop_table("agents")
    op.execute("DELETE FROM outbox WHERE action = 'signal'")
    check_actions(ACTIONS)
