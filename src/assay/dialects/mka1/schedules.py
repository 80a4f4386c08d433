"""Between the core's schedules and the dialect's JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from assay.core.schedules.types import HistoryEntry, NewSchedule, Schedule, ScheduleChanges
from assay.dialects.mka1.identifiers import Prefix, read_id, write_id
from assay.dialects.mka1.mapping import unix, unix_or_none
from assay.dialects.mka1.wire.schedules import CreateSchedule, ScheduleRun, UpdateSchedule, WireFire, WireSchedule


def from_create_schedule(body: CreateSchedule) -> NewSchedule:
    """A new schedule's definition.

    Raises:
        UnknownIdError: ``suite_id`` is no suite's id.
    """
    return NewSchedule(
        name=body.name,
        suite_id=read_id(Prefix.SUITE, body.suite_id, param="suite_id"),
        run=_from_run(body.run),
        description=body.description,
        suite_version=body.suite_version,
        cron=body.cron,
        interval_seconds=body.interval_seconds,
        timezone=body.timezone,
        overlap_policy=body.overlap_policy,
        enabled=body.enabled,
        webhook_url=body.webhook_url,
        webhook_secret=body.webhook_secret,
        metadata=body.metadata,
    )


def from_update_schedule(body: UpdateSchedule) -> ScheduleChanges:
    """What is to be changed: the fields that were sent, nulls included."""
    sent: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if "run" in sent:
        sent["run"] = _from_run(body.run)
    return ScheduleChanges(**sent)


def _from_run(run: ScheduleRun) -> dict[str, Any]:
    sent = {name: value for name, value in run.model_dump(exclude_unset=True).items() if value is not None}
    return {**sent, "generation": sent.get("generation", {})}


def to_schedule(schedule: Schedule, next_run_at: datetime | None) -> WireSchedule:
    """A schedule, with the clock's word on when it fires next."""
    timing = schedule.timing
    return WireSchedule(
        id=write_id(Prefix.SCHEDULE, schedule.id),
        object="eval.schedule",
        name=schedule.name,
        description=schedule.description,
        suite_id=write_id(Prefix.SUITE, schedule.suite_id),
        suite_version=schedule.suite_version,
        cron=timing.cron,
        interval_seconds=timing.interval_seconds,
        timezone=timing.timezone,
        overlap_policy=schedule.overlap_policy.value,
        enabled=schedule.enabled,
        webhook_url=schedule.webhook_url,
        webhook_configured=schedule.has_webhook_secret,
        run=dict(schedule.run),
        metadata=dict(schedule.metadata),
        last_run_id=_run_id(schedule.last_run_id),
        last_run_at=unix_or_none(schedule.last_run_at),
        last_run_status=None if schedule.last_run_status is None else schedule.last_run_status.value,
        next_run_at=unix_or_none(next_run_at),
        created_at=unix(schedule.created_at),
        updated_at=unix(schedule.updated_at),
    )


def to_fire(entry: HistoryEntry) -> WireFire:
    """A line of the history."""
    fire = entry.fire
    return WireFire(
        id=write_id(Prefix.FIRE, fire.id),
        object="eval.schedule.fire",
        schedule_id=write_id(Prefix.SCHEDULE, fire.schedule_id),
        kind=fire.kind.value,
        outcome=fire.outcome.value,
        reason=fire.reason,
        due_at=unix(fire.due_at),
        last_due_at=unix(fire.last_due_at),
        count=fire.count,
        run_id=_run_id(fire.run_id),
        run_status=None if entry.run_status is None else entry.run_status.value,
        suite_version=entry.suite_version,
        blocked_by=_run_id(fire.blocked_by),
        metrics=None if entry.metrics is None else dict(entry.metrics),
        previous_run_id=_run_id(entry.previous_run_id),
        change=None if entry.change is None else dict(entry.change),
        recorded_at=unix(fire.recorded_at),
        started_at=unix_or_none(fire.started_at),
    )


def _run_id(run_id: UUID | None) -> str | None:
    return None if run_id is None else write_id(Prefix.RUN, run_id)
