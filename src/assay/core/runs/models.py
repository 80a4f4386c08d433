"""Tables of runs.

``run_items`` holds what is asked, once for all models of a run. ``run_samples`` holds a row for each (item, model,
repeat); its key (run, task, model, index, repeat) is both the identity that keeps work from being doubled and the order
in which samples are listed, with tasks and models as their ordinals in the run. ``run_chunks`` are ranges of samples to
lease.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Index, LargeBinary, SmallInteger, false, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.ownership import OwnedMixin
from assay.core.runs.types import RunStatus, SampleStatus
from assay.db.base import Base, enum_check

UNMEASURED = (
    "run_samples.input_tokens IS NULL AND run_samples.output_tokens IS NULL AND run_samples.cached_tokens IS NULL "
    "AND run_samples.reasoning_tokens IS NULL AND (run_samples.output_text <> '' OR run_samples.reasoning <> '')"
)
"""Samples that have text and no figure of its tokens (M§2.10)."""
LIVE = "status IN ('queued', 'in_progress', 'finalizing', 'cancelling')"
"""SQL for runs that have not ended, written out so that the planner can use the index of those."""


class RunRow(OwnedMixin, Base):
    """A run. The counters change with the samples, in the same transaction."""

    __tablename__ = "runs"
    __table_args__ = (
        enum_check("status", RunStatus),
        Index("ix_runs_project_id_id", "project_id", "id"),
        Index("ix_runs_project_id_status_id", "project_id", "status", "id"),
        Index("ix_runs_suite_id_id", "suite_id", "id"),
        Index(
            "uq_runs_suite_id_import_key",
            "suite_id",
            "import_key",
            unique=True,
            postgresql_where=text("import_key IS NOT NULL AND deleted_at IS NULL"),
        ),
        Index("ix_runs_live", "id", postgresql_where=text(LIVE)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    suite_id: Mapped[UUID] = mapped_column(ForeignKey("suites.id", ondelete="CASCADE"))
    suite_version_id: Mapped[UUID] = mapped_column(ForeignKey("suite_versions.id", ondelete="CASCADE"))
    suite_version: Mapped[int]
    status: Mapped[str]
    execution: Mapped[int] = mapped_column(default=1)
    prepared: Mapped[bool] = mapped_column(default=False)
    task_order: Mapped[list[str]]
    models: Mapped[list[str]]
    task_ids: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    judge_model: Mapped[str | None]
    embedding_model: Mapped[str | None]
    generation: Mapped[dict[str, Any]]
    generation_concurrency: Mapped[int | None]
    concurrency: Mapped[int | None]
    grader_concurrency: Mapped[int | None]
    max_samples_per_task: Mapped[int | None]
    max_workflow_sample_activities: Mapped[int | None]
    repeats: Mapped[int] = mapped_column(SmallInteger, default=1, server_default=text("1"))
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    total: Mapped[int] = mapped_column(default=0)
    completed: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    metrics: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    dataset_revisions: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'::jsonb"))
    """Of Hugging Face datasets: what is read of each, by its name. Noted once, so that a retry reads the same rows."""
    group_metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    result_file_id: Mapped[UUID | None]
    samples_file_id: Mapped[UUID | None]
    imported: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether its samples were carried out elsewhere: no workflow stands behind it."""
    expected_samples: Mapped[int | None]
    """How many samples an imported run is said to get."""
    import_key: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """Digest of what makes two imports into a suite the same."""
    import_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """Digest of the whole import, to tell a repetition from a reused key."""
    agent_name: Mapped[str | None]
    agent_version: Mapped[str | None]
    agent_effort: Mapped[str | None]
    webhook_endpoint_id: Mapped[UUID | None] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="SET NULL"))
    """Who is told of changes of the status."""
    budget_usd: Mapped[Decimal | None]
    """At which the run stops, to be retried with a higher one."""
    spent_usd: Mapped[Decimal] = mapped_column(default=Decimal(0), server_default=text("0"))
    """What has been paid so far, with what was paid for samples that were run again."""
    cost_usd: Mapped[Decimal | None]
    input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cached_tokens: Mapped[int | None] = mapped_column(BigInteger)
    reasoning_tokens: Mapped[int | None] = mapped_column(BigInteger)
    updated_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]


class ItemRow(Base):
    """What is asked: one dataset row of one task, rendered."""

    __tablename__ = "run_items"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    task_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    sample_index: Mapped[int] = mapped_column(primary_key=True)
    dataset_row: Mapped[dict[str, Any]]
    prompt: Mapped[str]
    target: Mapped[str | None]
    protocol: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), deferred=True)
    """Of embedding tasks: what the protocol has to know of the text."""


class SampleRow(Base):
    """One model's answer to one item."""

    __tablename__ = "run_samples"
    __table_args__ = (
        enum_check("status", SampleStatus),
        Index("ix_run_samples_id", "id", unique=True),
        Index(
            "ix_run_samples_failed",
            "run_id",
            "task_no",
            "model_no",
            "sample_index",
            "repeat_no",
            postgresql_where=text("status = 'failed'"),
        ),
        Index("ix_run_samples_unmeasured", "run_id", postgresql_where=text(UNMEASURED)),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    task_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    model_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    sample_index: Mapped[int] = mapped_column(primary_key=True)
    repeat_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True, default=0, server_default=text("0"))
    id: Mapped[UUID]
    status: Mapped[str]
    output_text: Mapped[str | None]
    extracted_output: Mapped[str | None]
    reasoning: Mapped[str | None]
    response_id: Mapped[str | None]
    scores: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    judge: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    attempts: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    cost_usd: Mapped[Decimal | None]
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    reasoning_tokens: Mapped[int | None]
    tokens_estimated: Mapped[bool] = mapped_column(default=False)
    phase_timings: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    agent_seconds: Mapped[float | None]
    """Length of the phase ``agent_execution``, read from ``phase_timings`` when the sample was imported."""
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    vectors: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """Of embedding tasks: one vector or two, one after the other, as little-endian float32."""


class ChunkRow(Base):
    """A range of samples of one task and model that one lane carries out; ``lane`` holds it until ``leased_until``."""

    __tablename__ = "run_chunks"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    chunk_no: Mapped[int] = mapped_column(primary_key=True)
    task_no: Mapped[int] = mapped_column(SmallInteger)
    model_no: Mapped[int] = mapped_column(SmallInteger)
    first_index: Mapped[int]
    last_index: Mapped[int]
    lane: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    done: Mapped[bool] = mapped_column(default=False)


class SampleAttemptRow(Base):
    """A failed sample as it was before a rerun overwrote it (M§7 R31). Rows are only ever added."""

    __tablename__ = "run_sample_attempts"
    __table_args__ = (Index("ix_run_sample_attempts_run_id_sample_id", "run_id", "sample_id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    sample_id: Mapped[UUID]
    execution: Mapped[int]
    snapshot: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class TrajectoryRow(Base):
    """What an agent did in one trial. Apart from the samples, because it is a hundred times as large as one.

    ``steps`` and ``logs`` are JSON text as it is sent out again, so nothing in them is ever parsed or refused.
    """

    __tablename__ = "run_trajectories"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "task_no", "model_no", "sample_index", "repeat_no"],
            [f"run_samples.{name}" for name in ("run_id", "task_no", "model_no", "sample_index", "repeat_no")],
            name="fk_run_trajectories_run_samples",
            ondelete="CASCADE",
        ),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    task_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    model_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    sample_index: Mapped[int] = mapped_column(primary_key=True)
    repeat_no: Mapped[int] = mapped_column(SmallInteger, default=0, server_default=text("0"))
    """Always 0: trials that were carried out elsewhere have no repeats."""
    schema_version: Mapped[str]
    step_count: Mapped[int]
    size_bytes: Mapped[int]
    steps: Mapped[bytes]
    logs: Mapped[bytes | None]
    updated_at: Mapped[datetime]
