"""Schedules: the list, one with its fires, its metric over time and what its webhook was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from starlette.responses import Response

from assay.core.projects.types import Scope
from assay.core.runs.types import Run, RunFilter
from assay.core.schedules import service
from assay.core.schedules.history import list_history
from assay.core.schedules.types import (
    FireOutcome,
    HistoryEntry,
    NewSchedule,
    OverlapPolicy,
    Schedule,
    ScheduleChanges,
    ScheduleFilter,
)
from assay.core.suites.service import get_suite
from assay.core.webhooks import service as webhooks
from assay.core.webhooks.types import Delivery, DeliveryCounts, Endpoint, OwnerKind
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.ui.charts import Point
from assay.ui.edge import FieldError, Pages, Visit, read_uuid
from assay.ui.pages.naming import all_suites, suite_names
from assay.ui.pages.runs import list_metrics, list_model_ids, read_count

PAGE = 30
FIRES = 50
COMING = 8
RUNS_IN_CHART = 50
TONES = {
    FireOutcome.RUN: "good",
    FireOutcome.SKIPPED: "warn",
    FireOutcome.BUFFERED: "info",
    FireOutcome.MISSED: "bad",
    FireOutcome.FAILED: "bad",
}
pages = Pages()


@dataclass(frozen=True, slots=True)
class Told:
    """What a schedule's webhook was told."""

    endpoint: Endpoint | None
    deliveries: Sequence[Delivery]
    counts: DeliveryCounts | None


@pages.get("/schedules", Scope.EVALS_READ)
async def list_schedules(visit: Visit) -> Response:
    """Schedules, newest first."""
    page = await service.list_schedules(
        visit.session,
        visit.principal,
        schedule_filter=ScheduleFilter(suite_id=visit.query_id("suite")),
        after=visit.query_id("after"),
        limit=PAGE,
    )
    return await visit.render(
        "schedules.html",
        schedules=page.items,
        has_more=page.has_more,
        names=await suite_names(visit, page.items),
    )


@pages.get("/schedules/new", Scope.EVALS_WRITE)
async def ask_for_schedule(visit: Visit) -> Response:
    """The form for a new schedule."""
    return await _show_form(visit, values=dict(visit.request.query_params))


@pages.post("/schedules", Scope.EVALS_WRITE)
async def create_schedule(visit: Visit) -> Response:
    """Make a schedule."""
    try:
        async with visit.session.begin_nested():
            schedule = await service.create_schedule(
                visit.session, visit.principal, new=_read_new(visit), webhooks=visit.state.webhooks
            )
    except DomainError as error:
        return await _show_form(visit, values=_texts(visit), error=error)
    return visit.go(f"/schedules/{schedule.id.hex}", f"{schedule.name} is on.")


@pages.get("/schedules/{schedule_id}", Scope.EVALS_READ)
async def show_schedule(visit: Visit) -> Response:
    """One schedule: when it fires, what came of it, and how the numbers moved."""
    schedule = await service.get_schedule(visit.session, visit.principal, schedule_id=visit.path_id("schedule_id"))
    suite = await get_suite(visit.session, visit.principal, suite_id=schedule.suite_id)
    history = await list_history(
        visit.session, visit.principal, schedule_id=schedule.id, after=visit.query_id("after"), limit=FIRES
    )
    made = await service.list_schedule_runs(
        visit.session, visit.principal, schedule_id=schedule.id, run_filter=RunFilter(), limit=RUNS_IN_CHART
    )
    now = utc_now()
    coming = list(islice(schedule.timing.cadence.after(now), COMING)) if schedule.enabled else []
    return await visit.render(
        "schedule.html",
        schedule=schedule,
        suite=suite,
        history=history.items,
        has_more=history.has_more,
        past=[_as_moment(entry) for entry in history.items],
        coming=coming,
        moment=now,
        trends=_trends(made.items),
        told=await _read_told(visit, schedule),
        owned=schedule.project_id == visit.principal.project_id,
    )


@pages.get("/schedules/{schedule_id}/edit", Scope.EVALS_WRITE)
async def ask_for_changes(visit: Visit) -> Response:
    """The form with what the schedule is now."""
    schedule = await service.get_schedule(visit.session, visit.principal, schedule_id=visit.path_id("schedule_id"))
    return await _show_form(visit, values=_as_fields(schedule), schedule=schedule)


@pages.post("/schedules/{schedule_id}", Scope.EVALS_WRITE)
async def update_schedule(visit: Visit) -> Response:
    """Change a schedule. An empty secret stays as it is: it is never shown."""
    schedule = await service.get_schedule(visit.session, visit.principal, schedule_id=visit.path_id("schedule_id"))
    try:
        new = _read_new(visit)
        secret: dict[str, Any] = {} if new.webhook_secret is None else {"webhook_secret": new.webhook_secret}
        changes = ScheduleChanges(
            name=new.name,
            description=new.description,
            suite_version=new.suite_version,
            run={**schedule.run, **new.run},
            cron=new.cron,
            interval_seconds=new.interval_seconds,
            timezone=new.timezone,
            overlap_policy=new.overlap_policy,
            webhook_url=new.webhook_url,
            **secret,
        )
        async with visit.session.begin_nested():
            await service.update_schedule(
                visit.session,
                visit.principal,
                schedule_id=schedule.id,
                changes=changes,
                webhooks=visit.state.webhooks,
            )
    except DomainError as error:
        return await _show_form(visit, values=_texts(visit), schedule=schedule, error=error)
    return visit.go(f"/schedules/{schedule.id.hex}", "The schedule is changed.")


@pages.post("/schedules/{schedule_id}/enabled", Scope.EVALS_WRITE)
async def switch_schedule(visit: Visit) -> Response:
    """Turn a schedule on or off."""
    schedule_id, enabled = visit.path_id("schedule_id"), visit.field("enabled") == "yes"
    await service.update_schedule(
        visit.session,
        visit.principal,
        schedule_id=schedule_id,
        changes=ScheduleChanges(enabled=enabled),
        webhooks=visit.state.webhooks,
    )
    return visit.go(f"/schedules/{schedule_id.hex}", "The schedule is on." if enabled else "The schedule is off.")


@pages.post("/schedules/{schedule_id}/trigger", Scope.EVALS_WRITE)
async def trigger_schedule(visit: Visit) -> Response:
    """Fire at once."""
    schedule_id = visit.path_id("schedule_id")
    await service.trigger_schedule(visit.session, visit.principal, schedule_id=schedule_id, catalog=visit.state.catalog)
    return visit.go(f"/schedules/{schedule_id.hex}", "It fired.")


@pages.post("/schedules/{schedule_id}/delete", Scope.EVALS_WRITE)
async def delete_schedule(visit: Visit) -> Response:
    """Delete a schedule; its runs stay."""
    await service.delete_schedule(visit.session, visit.principal, schedule_id=visit.path_id("schedule_id"))
    return visit.go("/schedules", "The schedule is deleted. Its runs stay.")


@pages.post("/schedules/{schedule_id}/deliveries/{delivery_id}", Scope.EVALS_WRITE)
async def redeliver(visit: Visit) -> Response:
    """Send an event again."""
    schedule_id = visit.path_id("schedule_id")
    endpoint = await webhooks.get_endpoint(
        visit.session, visit.principal, owner_kind=OwnerKind.SCHEDULE, owner_id=schedule_id
    )
    await webhooks.redeliver(
        visit.session, visit.principal, endpoint_id=endpoint.id, delivery_id=visit.path_id("delivery_id")
    )
    return visit.go(f"/schedules/{schedule_id.hex}", "It is sent again.")


@pages.post("/schedules/{schedule_id}/webhook", Scope.EVALS_WRITE)
async def enable_webhook(visit: Visit) -> Response:
    """Turn a webhook on again that was turned off because nobody answered."""
    schedule_id = visit.path_id("schedule_id")
    endpoint = await webhooks.get_endpoint(
        visit.session, visit.principal, owner_kind=OwnerKind.SCHEDULE, owner_id=schedule_id
    )
    await webhooks.enable_endpoint(visit.session, visit.principal, endpoint_id=endpoint.id)
    return visit.go(f"/schedules/{schedule_id.hex}", "The webhook is on again.")


async def _show_form(
    visit: Visit,
    *,
    values: Mapping[str, str],
    schedule: Schedule | None = None,
    error: DomainError | None = None,
) -> Response:
    return await visit.render(
        "schedule_form.html",
        status=200 if error is None else 422,
        schedule=schedule,
        values=values,
        suites=await all_suites(visit),
        models=list_model_ids(visit),
        policies=list(OverlapPolicy),
        error=error,
    )


def _read_new(visit: Visit) -> NewSchedule:
    suite_id = read_uuid(visit.field("suite"))
    if suite_id is None:
        raise FieldError("Choose a suite.", param="suite")
    models = [line.strip() for line in visit.field("model").replace(",", "\n").splitlines() if line.strip()]
    run: dict[str, Any] = {"models": models, "generation": {}}
    for name in ("max_samples_per_task", "concurrency", "repeats"):
        if (value := read_count(visit, name)) is not None:
            run[name] = value
    by_interval = visit.field("cadence") == "interval"
    minutes = read_count(visit, "interval_minutes") if by_interval else None
    if by_interval and minutes is None:
        raise FieldError("Say after how many minutes it is to run again.", param="interval_minutes")
    if visit.field("overlap_policy") not in set(OverlapPolicy):
        raise FieldError("Choose what happens while a run has not ended.", param="overlap_policy")
    return NewSchedule(
        name=visit.field("name"),
        suite_id=suite_id,
        run=run,
        suite_version=read_count(visit, "suite_version"),
        cron=None if by_interval else visit.field("cron"),
        interval_seconds=None if minutes is None else minutes * 60,
        timezone=visit.field("timezone") or "UTC",
        overlap_policy=OverlapPolicy(visit.field("overlap_policy")),
        webhook_url=visit.optional("webhook_url"),
        webhook_secret=visit.optional("webhook_secret"),
    )


def _texts(visit: Visit) -> dict[str, str]:
    return {name: value for name, value in visit.form.items() if isinstance(value, str) and "secret" not in name}


def _as_fields(schedule: Schedule) -> dict[str, str]:
    timing, run = schedule.timing, schedule.run
    values: dict[str, Any] = {
        "name": schedule.name,
        "suite": schedule.suite_id.hex,
        "suite_version": schedule.suite_version,
        "model": "\n".join(run.get("models") or []),
        "cadence": "cron" if timing.cron else "interval",
        "cron": timing.cron,
        "interval_minutes": timing.interval_seconds // 60 if timing.interval_seconds else None,
        "timezone": timing.timezone,
        "overlap_policy": schedule.overlap_policy.value,
        "webhook_url": schedule.webhook_url,
        **{name: run.get(name) for name in ("max_samples_per_task", "concurrency", "repeats")},
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _as_moment(entry: HistoryEntry) -> tuple[datetime, str, str]:
    fire = entry.fire
    label = f"{fire.due_at:%Y-%m-%d %H:%M} UTC: {fire.outcome.value}"
    return fire.due_at, label, TONES[fire.outcome]


def _trends(made: Sequence[Run]) -> dict[str, list[Point]]:
    """Each main metric over the runs, oldest first, by task and model."""
    trends: dict[str, list[Point]] = {}
    for run in reversed(made):
        samples_have: Mapping[str, Any] = (run.metrics or {}).get("overall") or {}
        seen: set[tuple[str, str]] = set()
        for row in list_metrics(run, {}):
            if (row.task_id, row.model) in seen or samples_have.get(row.metric) is None:
                continue
            seen.add((row.task_id, row.model))
            point = Point(f"{run.created_at:%d %b %H:%M}", row.value, row.low, row.high, f"/runs/{run.id.hex}")
            trends.setdefault(f"{row.metric} · {row.task_id} · {row.model}", []).append(point)
    return trends


async def _read_told(visit: Visit, schedule: Schedule) -> Told:
    found = await webhooks.find_endpoints(visit.session, owner_kind=OwnerKind.SCHEDULE, owner_ids=[schedule.id])
    endpoint = found.get(schedule.id)
    if endpoint is None:
        return Told(None, (), None)
    deliveries = await webhooks.list_deliveries(visit.session, visit.principal, endpoint_id=endpoint.id, limit=20)
    counts = await webhooks.count_deliveries(visit.session, visit.principal, endpoint_id=endpoint.id)
    return Told(endpoint, deliveries.items, counts)
