"""Runs and samples, as the rest of Assay sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

MAX_CONCURRENCY = 1024
"""Largest accepted concurrency knob. The vendor's own limit is 25; a server of one's own may do more."""

MAX_BUDGET_USD = 1_000_000_000
"""Dollars; more than a column holds with its ten decimals is no ceiling."""
MAX_REPEATS = 100

DEFAULT_GENERATION_CONCURRENCY = 4
DEFAULT_GRADER_CONCURRENCY = 2
"""Contract M§7 R17."""


class RunStatus(StrEnum):
    """Where a run stands (M§5.1)."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in TERMINAL_RUN_STATUSES


TERMINAL_RUN_STATUSES = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})


class SampleStatus(StrEnum):
    """Where a sample stands (M§5.2).

    ``generating`` and ``scoring`` are brief and kept in the worker's memory: a stored sample is queued, ready to score,
    completed or failed, which are the states that work can resume from.
    """

    QUEUED = "queued"
    GENERATING = "generating"
    READY_TO_SCORE = "ready_to_score"
    SCORING = "scoring"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


UNSETTLED = frozenset(SampleStatus) - {SampleStatus.COMPLETED, SampleStatus.FAILED}
"""Statuses of samples that are still to be carried out, or under way."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Token sums; None means that nobody reported any, which is not zero."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How a run is to be carried out, as it was asked for; aliases and defaults are resolved when it executes."""

    models: Sequence[str]
    task_ids: Sequence[str] | None = None
    judge_model: str | None = None
    embedding_model: str | None = None
    generation: Mapping[str, Any] = field(default_factory=dict[str, Any])
    generation_concurrency: int | None = None
    concurrency: int | None = None
    grader_concurrency: int | None = None
    max_samples_per_task: int | None = None
    max_workflow_sample_activities: int | None = None
    repeats: int | None = None
    """How often each model is asked each prompt; once by default. Beyond the published API."""
    budget_usd: Decimal | None = None
    """What all its calls may cost together; None for no ceiling. Beyond the published API."""

    @property
    def effective_generation_concurrency(self) -> int:
        """Calls in flight over the whole run (R17)."""
        return self.generation_concurrency or self.concurrency or DEFAULT_GENERATION_CONCURRENCY

    @property
    def effective_repeats(self) -> int:
        """Samples per item and model."""
        return self.repeats or 1

    @property
    def effective_grader_concurrency(self) -> int:
        """Model-backed grader executions in flight (R17)."""
        return self.grader_concurrency or DEFAULT_GRADER_CONCURRENCY


@dataclass(frozen=True, slots=True)
class Run:
    """A run with everything a reader may want to know of it."""

    id: UUID
    organization_id: UUID
    project_id: UUID
    suite_id: UUID
    suite_version_id: UUID
    suite_version: int
    status: RunStatus
    config: RunConfig
    total: int
    completed: int
    failed: int
    metrics: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    result_file_id: UUID | None
    samples_file_id: UUID | None
    metadata: Mapping[str, str]
    dataset_revisions: Mapping[str, str]
    """What was read of each Hugging Face dataset: a commit, or a digest of the files of a folder."""
    agent_name: str | None
    agent_version: str | None
    agent_effort: str | None
    cost_usd: Decimal | None
    tokens: TokenCounts
    execution: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One model's answer to one item."""

    id: UUID
    run_id: UUID
    task_id: str
    model: str
    sample_index: int
    repeat_no: int
    """Which of the repeats of the same prompt, from 0."""
    repeats: int
    """Samples that the run has of each item and model."""
    status: SampleStatus
    dataset_row: Mapping[str, Any] | None
    prompt: str
    target: str | None
    response_id: str | None
    output_text: str | None
    extracted_output: str | None
    reasoning: str | None
    scores: Mapping[str, Any]
    judge: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    attempts: Sequence[Mapping[str, Any]]
    cost_usd: Decimal | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    tokens_estimated: bool
    phase_timings: Mapping[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list."""

    suite_id: UUID | None = None
    suite_version: int | None = None
    status: RunStatus | None = None
    owned_only: bool = False
    """Leave out what is only shared with the caller."""


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """Which samples to list; score bounds are inclusive and leave out samples without a numeric value (R28)."""

    task_id: str | None = None
    model: str | None = None
    status: SampleStatus | None = None
    score_metric: str | None = None
    score_min: float | None = None
    score_max: float | None = None
    sample_indexes: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """Samples by what became of them (M§2.11)."""

    total: int
    completed: int
    failed: int
    errored: int
    retried: int


@dataclass(frozen=True, slots=True)
class RunOverview:
    """A run at a glance."""

    run: Run
    metric: str
    average: float | None
    trials: TrialCounts
    cost_usd: Decimal | None
    tokens: TokenCounts
