"""Tables of jobs, their iterations and the steps that a worker has done.

JSON columns are ``json``, not ``jsonb``: what a client reports comes back with its key order and its number forms.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.jobs.types import Decision, JobKind, JobStatus
from assay.core.ownership import OwnedMixin
from assay.db.base import Base, enum_check
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

_VERBATIM = JSON(none_as_null=True)
_Json = Mapped[Any | None]


class JobRow(OwnedMixin, Base):
    """A job. Scores are points, 0 to 100, whoever wrote them."""

    __tablename__ = "jobs"
    __table_args__ = (
        enum_check("kind", JobKind),
        enum_check("status", JobStatus),
        Index(None, "project_id", "created_at", "id"),
        Index(None, "agent_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str]
    status: Mapped[str]
    agent_id: Mapped[UUID | None] = mapped_column(ForeignKey("target_agents.id"))
    prompt_slug: Mapped[str] = mapped_column(default="")
    analyzer_model: Mapped[str] = mapped_column(default="")
    num_iterations: Mapped[int] = mapped_column(BigInteger, default=5)
    candidates_per_iteration: Mapped[int] = mapped_column(BigInteger, default=3)
    current_iteration: Mapped[int] = mapped_column(BigInteger, default=0)
    data_source: Mapped[str] = mapped_column(default="dataset")
    baseline_score: Mapped[float | None] = mapped_column(Float(53))
    best_score: Mapped[float | None] = mapped_column(Float(53))
    improvement: Mapped[float | None] = mapped_column(Float(53))
    best_code: Mapped[str] = mapped_column(default="")
    report_markdown: Mapped[str] = mapped_column(default="")
    backtest_results: _Json = mapped_column(_VERBATIM)
    result: _Json = mapped_column(_VERBATIM)
    logs: _Json = mapped_column(_VERBATIM)
    task_reference: Mapped[str] = mapped_column(default="")
    """The workflow that carries it out; empty for a job that a client carries out."""
    triggered_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
    execution: Mapped[int] = mapped_column(default=0)
    """How often it was handed to a worker; 0 for a job that a client carries out."""
    paused_reason: Mapped[str | None]
    """Why a pending job waits for somebody to resume it; None for one that waits for its worker."""
    spent_usd: Mapped[Decimal] = mapped_column(default=Decimal(0))
    """What its model calls have cost, as far as their prices are known."""


class JobIterationRow(OwnedMixin, Base):
    """One round of a job."""

    __tablename__ = "job_iterations"
    __table_args__ = (
        enum_check("status", Decision),
        Index(None, "job_id", "position", "created_at"),
        Index(None, "project_id", "position", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    name: Mapped[str]
    position: Mapped[int] = mapped_column(BigInteger, default=0)
    avg_score: Mapped[float] = mapped_column(Float(53), default=0.0)
    status: Mapped[str] = mapped_column(default=Decision.KEEP.value)
    description: Mapped[str] = mapped_column(default="")
    dimension_scores: _Json = mapped_column(_VERBATIM)
    code: Mapped[str] = mapped_column(default="")
    candidates: _Json = mapped_column(_VERBATIM)


class JobStepRow(Base):
    """One thing that a worker has done for a job and does not do again: a model call, a choice, a snapshot."""

    __tablename__ = "job_steps"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[Any] = mapped_column(_VERBATIM)
    failed: Mapped[bool]
    """Whether the outcome is a fault, which a later execution tries again."""
    cost_usd: Mapped[Decimal | None]
    """None when nothing was asked, or when the price is not known."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class TraceRecordRow(OwnedMixin, Base):
    """One executed case, as a client that runs a job reports it. It is no production traffic, so it is no event."""

    __tablename__ = "job_traces"
    __table_args__ = (
        Index(None, "project_id", "created_at", "id"),
        Index(None, "agent_id", "created_at", "id"),
        Index(None, "job_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    trace_id: Mapped[str]
    trace_group: Mapped[str] = mapped_column(default="")
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("target_agents.id"))
    job_id: Mapped[UUID | None]
    iteration_id: Mapped[UUID | None]
    input: _Json = mapped_column(_VERBATIM)
    output: _Json = mapped_column(_VERBATIM)
    latency_ms: Mapped[float] = mapped_column(Float(53), default=0.0)
    tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    cost: Mapped[float] = mapped_column(Float(53), default=0.0)
    score: Mapped[float] = mapped_column(Float(53), default=0.0)
    start_time: Mapped[float] = mapped_column(Float(53), default=0.0)
    """Seconds since 1970, as the client said; so is ``end_time``."""
    end_time: Mapped[float] = mapped_column(Float(53), default=0.0)
    error: Mapped[str | None]


class SpanRecordRow(OwnedMixin, Base):
    """A model or tool call within an executed case."""

    __tablename__ = "job_spans"
    __table_args__ = (Index(None, "project_id", "created_at", "id"), Index(None, "trace", "position"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    trace: Mapped[str] = mapped_column(default="")
    """Id of the trace record, as the client wrote it."""
    span_type: Mapped[str]
    name: Mapped[str]
    position: Mapped[int] = mapped_column(BigInteger, default=0)
    start_time: Mapped[float] = mapped_column(Float(53), default=0.0)
    end_time: Mapped[float] = mapped_column(Float(53), default=0.0)
    latency_ms: Mapped[float] = mapped_column(Float(53), default=0.0)
    details: _Json = mapped_column("metadata", _VERBATIM)
    error: Mapped[str | None]
