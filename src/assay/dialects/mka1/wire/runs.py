"""Runs, samples, overview and artifacts (M§2.4-2.7, M§2.11)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from assay.core.runs.types import MAX_REPEATS
from assay.dialects.mka1.wire.base import MAX_INT, RequestModel, ResponseModel, UnixSeconds

Concurrency = Annotated[int | None, Field(ge=1, le=1024)]
Repeats = Annotated[int | None, Field(ge=1, le=MAX_REPEATS)]
"""Not in the published API: how often each model is asked each prompt."""
Budget = Annotated[Decimal | None, Field(gt=0, allow_inf_nan=False)]
"""Not in the published API: what all calls of a run may cost together, in dollars."""
ModelId = Annotated[str, Field(min_length=1, max_length=255)]


class CreateRun(RequestModel):
    """Body of ``POST /runs``. ``generation`` is checked field by field when the run is made."""

    suite_id: str
    models: Annotated[list[ModelId], Field(min_length=1, max_length=20)]
    suite_version: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    task_ids: Annotated[list[str] | None, Field(min_length=1, max_length=100)] = None
    judge_model: ModelId | None = None
    embedding_model: ModelId | None = None
    generation: dict[str, Any] | None = None
    generation_concurrency: Concurrency = None
    concurrency: Concurrency = None
    grader_concurrency: Concurrency = None
    max_samples_per_task: Annotated[int | None, Field(ge=1, le=MAX_INT)] = None
    max_workflow_sample_activities: Annotated[int | None, Field(ge=1, le=MAX_INT)] = None
    repeats: Repeats = None
    budget_usd: Budget = None
    metadata: dict[str, str] | None = None


class RetryRun(RequestModel):
    """What may be changed of a run that goes on; the published API has no body here."""

    budget_usd: Budget = None


class WireRequestCounts(ResponseModel):
    """Samples by outcome."""

    total: int
    completed: int
    failed: int


class WireTokens(ResponseModel):
    """Token sums; null means that nobody reported any."""

    input: int | None
    output: int | None
    cached: int | None
    reasoning: int | None


class _Repeatable(ResponseModel):
    """What says of repeats and revisions only where there are some: the published API knows none."""

    @model_serializer(mode="wrap")
    def _leave_out(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = serialize(self)
        for name in ("repeats", "repeat", "budget_usd", "dataset_revisions"):
            if name in written and written[name] is None:
                del written[name]
        return written


class WireRun(_Repeatable):
    """A run."""

    id: str
    object: Literal["eval.run"]
    suite_id: str
    suite_version_id: str
    suite_version: int
    org_id: str
    team_id: str
    status: str
    models: list[str]
    task_ids: list[str] | None
    judge_model: str | None
    embedding_model: str | None
    generation: dict[str, Any]
    repeats: int | None = None
    """Not in the published API, and so only there when prompts are repeated."""
    budget_usd: float | None = None
    """Not in the published API, and so only there when the run has a ceiling."""
    request_counts: WireRequestCounts
    metrics: dict[str, Any] | None
    error: dict[str, Any] | None
    artifact_file_ids: list[str]
    metadata: dict[str, str]
    dataset_revisions: dict[str, str] | None = None
    """Not in the published API, and so only there when Hugging Face datasets were read."""
    agent_name: str | None
    agent_version: str | None
    agent_effort: str | None
    cost_usd: float | None
    tokens: WireTokens
    created_at: UnixSeconds
    started_at: UnixSeconds | None
    completed_at: UnixSeconds | None
    cancelled_at: UnixSeconds | None
    failed_at: UnixSeconds | None


class WireRunDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["eval.run.deleted"]
    deleted: bool


class WireSample(_Repeatable):
    """A sample."""

    id: str
    object: Literal["eval.sample"]
    run_id: str
    task_id: str
    model: str
    sample_index: int
    repeat: int | None = None
    """Not in the published API, and so only there when prompts are repeated."""
    status: str
    dataset_row: dict[str, Any] | None
    prompt: str
    target: str | None
    response_id: str | None
    output_text: str | None
    extracted_output: str | None
    reasoning: str | None
    scores: dict[str, Any]
    judge: dict[str, Any] | None
    error: dict[str, Any] | None
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    tokens_estimated: bool
    phase_timings: dict[str, Any] | None
    created_at: UnixSeconds
    started_at: UnixSeconds | None
    completed_at: UnixSeconds | None


class WireAudio(ResponseModel):
    """A sample's clip: a ``data:`` URI or a web address."""

    object: Literal["eval.sample.audio"]
    audio: str
    sample_index: int
    task_id: str
    model: str


class WireTrials(ResponseModel):
    """Samples by outcome, as the overview counts them."""

    total: int
    completed: int
    failed: int
    errored: int
    retried: int


class WireOverview(ResponseModel):
    """A run at a glance."""

    object: Literal["eval.run.overview"]
    run_id: str
    suite_id: str
    status: str
    agent_name: str | None
    agent_version: str | None
    agent_effort: str | None
    models: list[str]
    metric: str
    avg_reward: float | None
    trials: WireTrials
    cost_usd: float | None
    tokens: WireTokens


class WireArtifacts(ResponseModel):
    """Files that a run left."""

    object: Literal["eval.artifacts"]
    run_id: str
    result_file_id: str | None
    samples_file_id: str | None
    artifact_file_ids: list[str]
