"""Jobs: the list, a new one, and one with its score by iteration, prompts and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from starlette.responses import Response

from assay.core.datasets.service import list_datasets
from assay.core.datasets.types import DatasetQuery
from assay.core.jobs import service
from assay.core.jobs.models import JobIterationRow, JobRow
from assay.core.jobs.types import JobKind, JobStatus
from assay.core.projects.types import Scope
from assay.core.targets.service import list_agents
from assay.db.listing import ListQuery, SortBy
from assay.db.slices import Slice
from assay.kit.errors import DomainError
from assay.ui.charts import Point
from assay.ui.diffing import diff_lines
from assay.ui.edge import FieldError, Pages, Visit, read_uuid
from assay.ui.pages.datasets import read_offset
from assay.ui.pages.evaluators import read_money
from assay.ui.pages.runs import list_model_ids, read_count

PAGE = 40
CHOICES = 200
pages = Pages()


@pages.get("/jobs", Scope.JOB_READ)
async def list_jobs(visit: Visit) -> Response:
    """Jobs, newest first."""
    offset = read_offset(visit)
    query = ListQuery(order=(SortBy("created_at", descending=True),))
    found = await service.list_jobs(visit.session, visit.principal, query, Slice(PAGE, offset))
    return await visit.render(
        "jobs.html",
        jobs=found.rows,
        total=found.count,
        offset=offset,
        page=PAGE,
        names=await service.agent_names(visit.session, visit.principal, found.rows),
    )


@pages.get("/jobs/new", Scope.JOB_WRITE)
async def ask_for_job(visit: Visit) -> Response:
    """The form for a new job."""
    return await _show_form(visit, {"kind": visit.query("kind") or JobKind.PROMPT_TUNING.value})


@pages.post("/jobs", Scope.JOB_WRITE)
async def create_job(visit: Visit) -> Response:
    """Make a job; a worker takes it up at once."""
    try:
        async with visit.session.begin_nested():
            job = await service.create_job(visit.session, visit.principal, _read_values(visit))
    except DomainError as error:
        values = {name: value for name, value in visit.form.items() if isinstance(value, str)}
        return await _show_form(visit, values, error=error)
    return visit.go(f"/jobs/{job.id.hex}", "The job is queued.")


@pages.get("/jobs/{job_id}", Scope.JOB_READ)
async def show_job(visit: Visit) -> Response:
    """One job: how the score moved, what was kept, and the report."""
    job = await service.find_job(visit.session, visit.principal, visit.path_id("job_id"))
    return await visit.render("job.html", **await _describe(visit, job))


@pages.get("/jobs/{job_id}/live", Scope.JOB_READ)
async def show_progress(visit: Visit) -> Response:
    """The part of a job's page that moves."""
    job = await service.find_job(visit.session, visit.principal, visit.path_id("job_id"))
    return visit.fragment("job_live.html", **await _describe(visit, job))


@pages.post("/jobs/{job_id}/status", Scope.JOB_WRITE)
async def change_status(visit: Visit) -> Response:
    """Cancel a job, or go on with one; a paused one may get a higher budget."""
    job_id = visit.path_id("job_id")
    wanted = JobStatus.CANCELLED if visit.field("status") == "cancelled" else JobStatus.PENDING
    values: dict[str, Any] = {"status": wanted.value}
    budget = read_money(visit, "budget_usd")
    if budget is not None and wanted is JobStatus.PENDING:
        job = await service.find_job(visit.session, visit.principal, job_id)
        result = _mapping(job.result)
        parameters = {**_mapping(result.get("parameters")), "budget_usd": float(budget)}
        values["result"] = {**result, "parameters": parameters}
    await service.update_job(visit.session, visit.principal, job_id, values)
    return visit.go(f"/jobs/{job_id.hex}", "It is cancelled." if wanted is JobStatus.CANCELLED else "It goes on.")


@pages.post("/jobs/{job_id}/delete", Scope.JOB_WRITE)
async def delete_job(visit: Visit) -> Response:
    """Delete a job."""
    await service.delete_job(visit.session, visit.principal, visit.path_id("job_id"))
    return visit.go("/jobs", "The job is deleted.")


async def _describe(visit: Visit, job: JobRow) -> dict[str, Any]:
    found = await service.iterations_of(visit.session, [job])
    iterations = found.get(job.id, ())
    names = await service.agent_names(visit.session, visit.principal, [job])
    result = _mapping(job.result)
    return {
        "job": job,
        "iterations": iterations,
        "points": [_as_point(one) for one in iterations],
        "agent": names.get(job.agent_id) if job.agent_id else None,
        "progress": _mapping(result.get("progress")),
        "estimate": _mapping(result.get("estimate")),
        "parameters": _mapping(result.get("parameters")),
        "sealed": _mapping(result.get("sealed_test")),
        "result": result,
        "logs": _list(job.logs)[-100:],
        "lines": _prompt_diff(iterations, job),
        "ended": JobStatus(job.status).is_terminal,
    }


def _as_point(iteration: JobIterationRow) -> Point:
    kept = iteration.status == "keep"
    return Point(iteration.name, iteration.avg_score, tone="" if kept else "off")


def _prompt_diff(iterations: Sequence[JobIterationRow], job: JobRow) -> list[Any]:
    baseline = next((one.code for one in iterations if one.code), "")
    best = job.best_code or next((one.code for one in reversed(iterations) if one.status == "keep" and one.code), "")
    return diff_lines(baseline, best) if baseline and best and baseline != best else []


async def _show_form(visit: Visit, values: Mapping[str, str], *, error: DomainError | None = None) -> Response:
    datasets = ()
    if visit.may(Scope.DATASET_READ):
        datasets = (await list_datasets(visit.session, visit.principal, DatasetQuery(), Slice(CHOICES, 0))).rows
    agents = await list_agents(visit.session, visit.principal, ListQuery(order=(SortBy("name"),)), Slice(CHOICES, 0))
    return await visit.render(
        "job_form.html",
        status=200 if error is None else 422,
        values=values,
        datasets=datasets,
        agents=agents.rows,
        models=list_model_ids(visit),
        kinds=[JobKind.PROMPT_TUNING, JobKind.MODEL_BACKTESTING, JobKind.JUDGE_SCORING, JobKind.INFERENCE],
        error=error,
    )


def _read_values(visit: Visit) -> dict[str, Any]:
    kind = visit.field("kind")
    if kind not in set(JobKind):
        raise FieldError("Choose what the job does.", param="kind")
    dataset_id, agent_id = read_uuid(visit.field("dataset")), read_uuid(visit.field("agent"))
    parameters: dict[str, Any] = {
        "dataset": None if dataset_id is None else str(dataset_id),
        "prompt": visit.optional("prompt"),
        "models": [line.strip() for line in visit.field("models").splitlines() if line.strip()] or None,
        "judge_model": visit.optional("judge_model"),
        "max_items": read_count(visit, "max_items"),
        "budget_usd": _plain(read_money(visit, "budget_usd")),
    }
    return {
        "kind": kind,
        "agent_id": agent_id,
        "analyzer_model": visit.field("analyzer_model"),
        "num_iterations": read_count(visit, "num_iterations") or 5,
        "candidates_per_iteration": read_count(visit, "candidates_per_iteration") or 3,
        "result": {"parameters": {name: value for name, value in parameters.items() if value is not None}},
    }


def _plain(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
