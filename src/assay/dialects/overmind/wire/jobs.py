"""Jobs and job iterations (O§2.1, O§2.2)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from assay.core.jobs.types import Decision, JobKind, JobStatus
from assay.dialects.overmind.wire.base import (
    Code20,
    Id,
    Input,
    Integer,
    Name64,
    Number,
    Output,
    Text128,
    Text255,
    partial,
)

_Kind = Annotated[JobKind, Field(strict=False)]
_Status = Annotated[JobStatus, Field(strict=False)]
_Decision = Annotated[Decision, Field(strict=False)]


class JobInput(Input):
    """A job to make or to replace. ``{}`` is one."""

    agent: Id | None = None
    analyzer_model: Text128 = ""
    backtest_results: Any = None
    baseline_score: Number | None = None
    best_agent_code: str = ""
    best_score: Number | None = None
    candidates_per_iteration: Integer = 3
    celery_task_id: Text255 = ""
    current_iteration: Integer = 0
    data_source: Code20 = "dataset"
    improvement: Number | None = None
    job_type: _Kind = JobKind.PROMPT_TUNING
    logs: Any = None
    num_iterations: Integer = 5
    project: Id | None = None
    prompt_slug: Text255 = ""
    report_markdown: str = ""
    result: Any = None
    status: _Status = JobStatus.PENDING
    triggered_by: Integer | None = None


class IterationInput(Input):
    """A job iteration to make or to replace."""

    job: Id
    iteration_name: Name64
    order: Integer = 0
    avg_score: Number = 0.0
    status: _Decision = Decision.KEEP
    description: str = ""
    dimension_scores: Any = None
    agent_code: str = ""
    candidates: Any = None


IterationPatch = partial(IterationInput, "IterationPatch")


class Iteration(Output):
    """A job iteration."""

    id: UUID
    created_at: datetime
    job: UUID
    user: int
    iteration_name: str
    order: int
    avg_score: float
    status: Decision
    description: str
    dimension_scores: Any
    agent_code: str
    candidates: Any


class JobListRow(Output):
    """A job in a list."""

    id: UUID
    created_at: datetime
    updated_at: datetime
    user: int
    job_type: JobKind
    status: JobStatus
    agent: UUID | None
    agent_display_name: str
    project: UUID | None
    prompt_slug: str
    analyzer_model: str
    num_iterations: int
    baseline_score: float | None
    best_score: float | None
    improvement: float | None


class Job(JobListRow):
    """A job with its iterations, sorted by order, then age."""

    candidates_per_iteration: int
    current_iteration: int
    data_source: str
    best_agent_code: str
    report_markdown: str
    backtest_results: Any
    result: Any
    logs: Any
    celery_task_id: str
    triggered_by: int | None
    iterations: list[Iteration]
