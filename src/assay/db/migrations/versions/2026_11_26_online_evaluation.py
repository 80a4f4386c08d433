"""the ledger of online evaluation, backfills, breakers and budgets

Revision: a4b1f7c20e93
Follows: 5d0c9e1b7a34
Made: 2026-11-26 02:30:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "a4b1f7c20e93"
down_revision = "5d0c9e1b7a34"
branch_labels = None
depends_on = None

# A lock that is not had at once makes every later query wait behind this one; giving up and trying again does not.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"

LEDGER = "online_evaluations"
WORDS = {
    "runtime": ("llm_judge", "hog", "sentiment"),
    "target": ("generation", "trace", "session"),
    "origin": ("live", "manual", "backfill"),
    "state": ("queued", "leased", "done"),
    "outcome": ("scored", "not_applicable", "skipped", "sampled_out", "over_budget", "failed"),
}
BACKFILL_STATUSES = ("queued", "running", "completed", "cancelled", "failed")


def check(table: str, column: str, words: tuple[str, ...]) -> sa.CheckConstraint:
    allowed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({allowed})", name=op.f(f"ck_{table}_{column}"))


def to_evaluator(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["evaluator_id"], ["evaluators.id"], name=op.f(f"fk_{table}_evaluator_id_evaluators")
    )


def to_project(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f(f"fk_{table}_project_id_projects"))


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    _create_ledger()
    _create_backfills()
    op.create_table(
        "provider_breakers",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probing_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_provider_breakers")),
    )
    op.create_table(
        "evaluation_budgets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("evaluator_id", sa.Uuid(), nullable=True),
        sa.Column("max_usd_per_day", sa.Numeric(20, 10), nullable=True),
        sa.Column("max_calls_per_day", sa.Integer(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        to_project("evaluation_budgets"),
        to_evaluator("evaluation_budgets"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_budgets")),
    )
    op.create_index(
        "ix_evaluation_budgets_owner",
        "evaluation_budgets",
        ["project_id", "evaluator_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "evaluation_spend",
        sa.Column("evaluator_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("cost_usd", sa.Numeric(20, 10), nullable=False),
        to_evaluator("evaluation_spend"),
        sa.PrimaryKeyConstraint("evaluator_id", "day", name=op.f("pk_evaluation_spend")),
    )
    op.create_index(op.f("ix_evaluation_spend_project_id_day"), "evaluation_spend", ["project_id", "day"])


def _create_ledger() -> None:
    op.create_table(
        LEDGER,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("evaluator_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("runtime", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=False),
        sa.Column("subject_key", sa.String(), nullable=True),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("event_uuid", sa.Uuid(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("backfill_id", sa.Uuid(), nullable=True),
        sa.Column("manual_runs", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("cost_usd", sa.Numeric(20, 10), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        *(check(LEDGER, column, words) for column, words in WORDS.items()),
        to_evaluator(LEDGER),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{LEDGER}")),
    )
    op.create_index(f"ix_{LEDGER}_identity", LEDGER, ["evaluator_id", "subject", "version_id"], unique=True)
    op.create_index(f"ix_{LEDGER}_evaluator_id_id", LEDGER, ["evaluator_id", "id"])
    op.create_index(
        f"ix_{LEDGER}_open", LEDGER, ["evaluator_id", "due_at"], postgresql_where=sa.text("state <> 'done'")
    )
    op.create_index(
        f"ix_{LEDGER}_backfill_id", LEDGER, ["backfill_id"], postgresql_where=sa.text("backfill_id IS NOT NULL")
    )


def _create_backfills() -> None:
    table = "evaluation_backfills"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("evaluator_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("scope", postgresql.JSONB(), nullable=False),
        sa.Column("cursor_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor_id", sa.Uuid(), nullable=True),
        sa.Column("scanned", sa.Boolean(), nullable=False),
        sa.Column("examined", sa.Integer(), nullable=False),
        sa.Column("enrolled", sa.Integer(), nullable=False),
        sa.Column("existing", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("on_behalf_of", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        check(table, "status", BACKFILL_STATUSES),
        to_evaluator(table),
        to_project(table),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f(f"fk_{table}_created_by_users")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_evaluator_id_id"), table, ["evaluator_id", "id"])


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    for table in ("evaluation_spend", "evaluation_budgets", "provider_breakers", "evaluation_backfills", LEDGER):
        op.drop_table(table)
