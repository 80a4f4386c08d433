"""The first page: what is running, what ran, what got worse, and what needs attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from assay.core.calibration.service import list_calibrations
from assay.core.evaluators.service import list_evaluators
from assay.core.evaluators.types import EvaluatorKind, EvaluatorQuery, EvaluatorStatus
from assay.core.jobs import service as jobs
from assay.core.jobs.models import JobRow
from assay.core.online.budgets import read_budget
from assay.core.projects.types import Scope
from assay.core.runs import service as runs
from assay.core.runs.types import Run, RunFilter, RunStatus, SampleFilter, SampleStatus
from assay.core.schedules.history import list_history
from assay.core.schedules.service import list_schedules
from assay.core.schedules.types import FireOutcome, HistoryEntry, Schedule, ScheduleFilter
from assay.core.webhooks.service import count_deliveries, find_endpoints
from assay.core.webhooks.types import OwnerKind
from assay.db.listing import ListQuery, SortBy
from assay.db.slices import Slice
from assay.scoring.directions import LOWER_IS_BETTER
from assay.ui.edge import Pages, Visit
from assay.ui.pages.naming import suite_names

LATEST = 10
SCHEDULES = 30
EVALUATORS = 100
FIRES = 5
"""Of the built-in metrics."""
pages = Pages()


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that somebody should look at."""

    text: str
    detail: str
    href: str


@dataclass(frozen=True, slots=True)
class Change:
    """How the newest run of a schedule compares with the one before it."""

    schedule: Schedule
    entry: HistoryEntry
    metric: str
    change: float


@pages.get("/", None)
async def show_home(visit: Visit) -> Response:
    """What happened, and what to do next."""
    latest: Sequence[Run] = ()
    running: list[Run] = []
    changes: list[Change] = []
    attention: list[Attention] = []
    if visit.may(Scope.EVALS_READ):
        latest = (await runs.list_runs(visit.session, visit.principal, run_filter=RunFilter(), limit=LATEST)).items
        running = await _list_running(visit)
        changes, troubles = await _look_at_schedules(visit)
        attention += troubles
        attention += _failed_runs(latest)
        attention += await _look_at_judges(visit, latest)
    if visit.may(Scope.EVALUATION_READ):
        attention += await _look_at_evaluators(visit)
    working = await _look_at_jobs(visit, attention) if visit.may(Scope.JOB_READ) else []
    return await visit.render(
        "home.html",
        runs=latest,
        running=running,
        working=working,
        changes=sorted(changes, key=lambda one: _gain(one.metric, one.change)),
        attention=attention,
        names=await suite_names(visit, [*latest, *running]),
    )


async def _list_running(visit: Visit) -> list[Run]:
    found: list[Run] = []
    for status in (RunStatus.IN_PROGRESS, RunStatus.QUEUED, RunStatus.FINALIZING):
        page = await runs.list_runs(
            visit.session, visit.principal, run_filter=RunFilter(status=status, owned_only=True), limit=LATEST
        )
        found += page.items
    return found[:LATEST]


async def _look_at_schedules(visit: Visit) -> tuple[list[Change], list[Attention]]:
    page = await list_schedules(visit.session, visit.principal, schedule_filter=ScheduleFilter(), limit=SCHEDULES)
    changes: list[Change] = []
    attention: list[Attention] = []
    for schedule in page.items:
        history = await list_history(visit.session, visit.principal, schedule_id=schedule.id, limit=FIRES)
        measured = next((entry for entry in history.items if entry.change), None)
        if measured is not None and measured.change:
            metric, change = min(measured.change.items(), key=lambda item: _gain(*item))
            if change:
                changes.append(Change(schedule, measured, metric, change))
        if history.items and history.items[0].fire.outcome in (FireOutcome.FAILED, FireOutcome.MISSED):
            fire = history.items[0].fire
            attention.append(
                Attention(
                    f"{schedule.name}: the last fire {fire.outcome.value}",
                    fire.reason or "",
                    f"/schedules/{schedule.id.hex}",
                )
            )
    return changes, attention + await _look_at_webhooks(visit, page.items)


def _gain(metric: str, change: float) -> float:
    return -change if metric in LOWER_IS_BETTER else change


async def _look_at_webhooks(visit: Visit, schedules: Sequence[Schedule]) -> list[Attention]:
    names = {one.id: one.name for one in schedules if one.webhook_url is not None}
    found = await find_endpoints(visit.session, owner_kind=OwnerKind.SCHEDULE, owner_ids=list(names))
    attention: list[Attention] = []
    for owner, endpoint in found.items():
        counts = await count_deliveries(visit.session, visit.principal, endpoint_id=endpoint.id)
        if counts.failed or endpoint.disabled_at is not None:
            why = endpoint.disabled_reason or f"{counts.failed} not delivered"
            attention.append(Attention(f"{names[owner]}: the webhook is not answered", why, f"/schedules/{owner.hex}"))
    return attention


def _failed_runs(latest: Sequence[Run]) -> list[Attention]:
    return [
        Attention(
            f"A run of {', '.join(run.config.models)[:60]} failed",
            str((run.error or {}).get("message", ""))[:200],
            f"/runs/{run.id.hex}",
        )
        for run in latest
        if run.status is RunStatus.FAILED
    ][:3]


async def _look_at_judges(visit: Visit, latest: Sequence[Run]) -> list[Attention]:
    """Calibrations that no longer hold: judges of the newest runs that nobody has measured against people."""
    known = await list_calibrations(visit.session, visit.principal, limit=50)
    if not known.items or not latest:
        return []
    versions = {one.judge_version for one in known.items}
    seen: set[str] = set()
    for run in latest[:3]:
        if run.status is RunStatus.COMPLETED:
            seen |= await _judge_versions(visit, run)
    unknown = seen - versions
    if not unknown:
        return []
    text = "A judge has changed since it was measured against people"
    return [Attention(text, ", ".join(sorted(version[:12] for version in unknown)), "/labels")]


async def _judge_versions(visit: Visit, run: Run) -> set[str]:
    page = await runs.list_samples(
        visit.session,
        visit.principal,
        run_id=run.id,
        sample_filter=SampleFilter(status=SampleStatus.COMPLETED),
        limit=1,
    )
    found: set[str] = set()
    for sample in page.items:
        version: Any = (sample.judge or {}).get("judge_version")
        if isinstance(version, str):
            found.add(version)
    return found


async def _look_at_evaluators(visit: Visit) -> list[Attention]:
    found = await list_evaluators(visit.session, visit.principal, EvaluatorQuery(), Slice(EVALUATORS, 0))
    attention: list[Attention] = []
    for one in found.rows:
        href = f"/evaluators/{one.id.hex}"
        if one.status is EvaluatorStatus.ERROR:
            why = one.status_reason_detail or (one.status_reason.value.replace("_", " ") if one.status_reason else "")
            attention.append(Attention(f"{one.name} switched itself off", why, href))
        elif one.enabled and one.definition.kind is EvaluatorKind.LLM_JUDGE:
            budget = await read_budget(visit.session, visit.principal, one.id)
            out_of_money = budget.max_usd_per_day is not None and budget.usd_today >= budget.max_usd_per_day
            out_of_calls = budget.max_calls_per_day is not None and budget.calls_today >= budget.max_calls_per_day
            if out_of_money or out_of_calls:
                attention.append(Attention(f"{one.name} has spent today's budget", "", href))
    return attention


async def _look_at_jobs(visit: Visit, attention: list[Attention]) -> list[JobRow]:
    query = ListQuery(order=(SortBy("created_at", descending=True),))
    found = await jobs.list_jobs(visit.session, visit.principal, query, Slice(LATEST, 0))
    for job in found.rows:
        if job.status == "pending" and job.paused_reason:
            attention.append(Attention("A job is paused", job.paused_reason.replace("_", " "), f"/jobs/{job.id.hex}"))
        elif job.status == "failed":
            result: Mapping[str, Any] = job.result or {}
            attention.append(Attention("A job failed", str(result.get("error", ""))[:200], f"/jobs/{job.id.hex}"))
    return [job for job in found.rows if job.status in ("pending", "running")]
