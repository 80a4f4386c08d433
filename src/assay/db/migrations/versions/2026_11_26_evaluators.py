"""evaluators and provider keys

Revision: 5d0c9e1b7a34
Follows: 5e0b7c94d1a6
Made: 2026-11-26 02:20:00
"""

import sqlalchemy as sa
from alembic import op

revision = "5d0c9e1b7a34"
down_revision = "5e0b7c94d1a6"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"

PROVIDERS = (
    "'openai', 'anthropic', 'gemini', 'openrouter', 'fireworks', 'azure_openai', 'together_ai', 'minimax', "
    "'zeabur', 'openai_compatible'"
)
REASONS = (
    "'provider_key_invalid', 'provider_key_permission_denied', 'provider_key_quota_exceeded', "
    "'provider_key_rate_limited', 'provider_key_deleted', 'provider_key_required', 'model_not_found', "
    "'model_not_supported', 'no_default_model', 'hog_error'"
)


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


def definition_columns(table: str) -> list[sa.Column | sa.ForeignKeyConstraint]:
    return [
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("output_kind", sa.String(), nullable=False),
        sa.Column("output_config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("target_config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("provider_key_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["provider_key_id"], ["provider_keys.id"], name=op.f(f"fk_{table}_provider_key_id_provider_keys")
        ),
    ]


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "provider_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=True),
        sa.Column("masked", sa.String(), nullable=False),
        sa.Column("base_url", sa.String(), nullable=True),
        sa.Column("azure_endpoint", sa.String(), nullable=True),
        sa.Column("api_version", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *owner_columns(),
        *owner_constraints("provider_keys"),
        sa.CheckConstraint(f"provider IN ({PROVIDERS})", name=op.f("ck_provider_keys_provider")),
        sa.CheckConstraint("state IN ('unknown', 'ok', 'invalid', 'error')", name=op.f("ck_provider_keys_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_keys")),
    )
    op.create_index(
        op.f("ix_provider_keys_project_id_created_at_id"),
        "provider_keys",
        ["project_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "evaluation_settings",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("active_key_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_evaluation_settings_project_id_projects")
        ),
        sa.ForeignKeyConstraint(
            ["active_key_id"], ["provider_keys.id"], name=op.f("fk_evaluation_settings_active_key_id_provider_keys")
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_evaluation_settings")),
    )
    _create_evaluators()
    op.create_table(
        "evaluator_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("evaluator_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *definition_columns("evaluator_versions"),
        sa.ForeignKeyConstraint(
            ["evaluator_id"],
            ["evaluators.id"],
            name=op.f("fk_evaluator_versions_evaluator_id_evaluators"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluator_versions")),
        sa.UniqueConstraint("evaluator_id", "number", name=op.f("uq_evaluator_versions_evaluator_id_number")),
        sa.UniqueConstraint("evaluator_id", "digest", name=op.f("uq_evaluator_versions_evaluator_id_digest")),
    )


def _create_evaluators() -> None:
    op.create_table(
        "evaluators",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("status_reason", sa.String(), nullable=True),
        sa.Column("status_reason_detail", sa.String(), nullable=True),
        *definition_columns("evaluators"),
        sa.Column("conditions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("directory_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *owner_columns(),
        *owner_constraints("evaluators"),
        sa.CheckConstraint("kind IN ('llm_judge', 'hog', 'sentiment')", name=op.f("ck_evaluators_kind")),
        sa.CheckConstraint(
            "output_kind IN ('boolean', 'numeric', 'categorical', 'sentiment')", name=op.f("ck_evaluators_output_kind")
        ),
        sa.CheckConstraint("target IN ('generation', 'trace', 'session')", name=op.f("ck_evaluators_target")),
        sa.CheckConstraint("status IN ('active', 'paused', 'error')", name=op.f("ck_evaluators_status")),
        sa.CheckConstraint(f"status_reason IN ({REASONS})", name=op.f("ck_evaluators_status_reason")),
        sa.CheckConstraint(f"provider IN ({PROVIDERS})", name=op.f("ck_evaluators_provider")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluators")),
    )
    op.create_index(
        op.f("ix_evaluators_project_id_created_at_id"), "evaluators", ["project_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_evaluators_enabled",
        "evaluators",
        ["project_id"],
        unique=False,
        postgresql_where=sa.text("enabled AND deleted_at IS NULL"),
    )
    op.create_index("ix_evaluators_provider_key_id", "evaluators", ["provider_key_id"], unique=False)


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("evaluator_versions")
    op.drop_table("evaluators")
    op.drop_table("evaluation_settings")
    op.drop_table("provider_keys")
