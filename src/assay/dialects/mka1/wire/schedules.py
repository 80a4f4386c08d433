"""Schedules and their history (M§2.14)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from assay.core.schedules.types import MAX_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS, OverlapPolicy
from assay.dialects.mka1.wire.base import MAX_INT, RequestModel, ResponseModel, UnixSeconds
from assay.dialects.mka1.wire.runs import Concurrency, ModelId, Repeats

Name = Annotated[str, Field(min_length=1, max_length=255)]
Description = Annotated[str | None, Field(max_length=10_000)]
Version = Annotated[int | None, Field(ge=1, le=2**31 - 1)]
Cron = Annotated[str | None, Field(min_length=1, max_length=255)]
Interval = Annotated[int | None, Field(ge=MIN_INTERVAL_SECONDS, le=MAX_INTERVAL_SECONDS)]
Timezone = Annotated[str, Field(min_length=1, max_length=64)]
Url = Annotated[str | None, Field(max_length=2048)]
Secret = Annotated[str | None, Field(min_length=16, max_length=256)]


class ScheduleRun(RequestModel):
    """How the runs are carried out: ``CreateRun`` without suite and metadata. Unknown keys are kept, not used."""

    model_config = ConfigDict(extra="allow")

    models: Annotated[list[ModelId], Field(min_length=1, max_length=20)]
    task_ids: Annotated[list[str] | None, Field(min_length=1, max_length=100)] = None
    judge_model: ModelId | None = None
    embedding_model: ModelId | None = None
    generation: dict[str, Any] = Field(default_factory=dict[str, Any])
    generation_concurrency: Concurrency = None
    concurrency: Concurrency = None
    grader_concurrency: Concurrency = None
    max_samples_per_task: Annotated[int | None, Field(ge=1, le=MAX_INT)] = None
    max_workflow_sample_activities: Annotated[int | None, Field(ge=1, le=MAX_INT)] = None
    repeats: Repeats = None


class CreateSchedule(RequestModel):
    """Body of ``POST /schedules``."""

    name: Name
    suite_id: str
    run: ScheduleRun
    description: Description = None
    suite_version: Version = None
    cron: Cron = None
    interval_seconds: Interval = None
    timezone: Timezone = "UTC"
    overlap_policy: OverlapPolicy = OverlapPolicy.SKIP
    enabled: bool = True
    webhook_url: Url = None
    webhook_secret: Secret = None
    metadata: dict[str, str] | None = None


class UpdateSchedule(RequestModel):
    """Body of ``PATCH /schedules/{schedule_id}``. Only what is sent counts; the defaults here mean nothing."""

    name: Name = ""
    description: Description = None
    suite_version: Version = None
    run: ScheduleRun = Field(default_factory=lambda: ScheduleRun.model_construct(models=[]))
    cron: Cron = None
    interval_seconds: Interval = None
    timezone: Timezone = ""
    overlap_policy: OverlapPolicy = OverlapPolicy.SKIP
    enabled: bool = True
    webhook_url: Url = None
    webhook_secret: Secret = None
    metadata: dict[str, str] = Field(default_factory=dict[str, str])


class WireSchedule(ResponseModel):
    """A schedule; the webhook's secret is never among its fields."""

    id: str
    object: Literal["eval.schedule"]
    name: str
    description: str | None
    suite_id: str
    suite_version: int | None
    cron: str | None
    interval_seconds: int | None
    timezone: str
    overlap_policy: str
    enabled: bool
    webhook_url: str | None
    webhook_configured: bool
    run: dict[str, Any]
    metadata: dict[str, str]
    last_run_id: str | None
    last_run_at: UnixSeconds | None
    last_run_status: str | None
    next_run_at: UnixSeconds | None
    created_at: UnixSeconds
    updated_at: UnixSeconds


class WireScheduleDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["eval.schedule.deleted"]
    deleted: bool


class WireFire(ResponseModel):
    """What became of a fire. An object of ours, which the published API does not have."""

    id: str
    object: Literal["eval.schedule.fire"]
    schedule_id: str
    kind: str
    outcome: str
    reason: str | None
    due_at: UnixSeconds
    last_due_at: UnixSeconds
    """Differs from ``due_at`` when one record stands for several missed fires."""
    count: int
    run_id: str | None
    run_status: str | None
    suite_version: int | None
    blocked_by: str | None
    """The run that was active."""
    metrics: dict[str, float] | None
    previous_run_id: str | None
    """The schedule's run before this one, that ``change`` compares with."""
    change: dict[str, float] | None
    recorded_at: UnixSeconds
    started_at: UnixSeconds | None
