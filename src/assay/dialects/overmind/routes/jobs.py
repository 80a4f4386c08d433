"""Jobs and job iterations (O§2.1, O§2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.jobs import service
from assay.core.jobs.models import JobIterationRow, JobRow
from assay.core.jobs.types import Decision, JobKind, JobStatus
from assay.core.projects.types import Principal
from assay.db.listing import Comparison
from assay.dialects.overmind.collection import Collection, Models, UseCases
from assay.dialects.overmind.mapping import ITERATION_NAMES, JOB_NAMES, render_iteration, render_job, render_job_row
from assay.dialects.overmind.people import load_numbers, read_number
from assay.dialects.overmind.query import Filters, choice_of, moment_of, number_of, text_of, uuid_of
from assay.dialects.overmind.route import Resource
from assay.dialects.overmind.wire.base import sent
from assay.dialects.overmind.wire.jobs import (
    Iteration,
    IterationInput,
    IterationPatch,
    Job,
    JobInput,
    JobListRow,
)

JOB_FILTERS = Filters(
    parameters={
        "agent": uuid_of("agent"),
        "project": uuid_of("project"),
        "job_type": choice_of("job_type", JobKind),
        "status": choice_of("status", JobStatus),
        "analyzer_model": text_of("analyzer_model"),
        "data_source": text_of("data_source"),
        "prompt_slug": text_of("prompt_slug"),
        "created_after": moment_of("created_at", Comparison.AT_LEAST),
        "created_before": moment_of("created_at", Comparison.AT_MOST),
        "score_min": number_of("best_score", Comparison.AT_LEAST),
        "score_max": number_of("best_score", Comparison.AT_MOST),
    },
    order=(
        "created_at",
        "updated_at",
        "status",
        "job_type",
        "num_iterations",
        "baseline_score",
        "best_score",
        "improvement",
    ),
)
ITERATION_FILTERS = Filters(
    parameters={
        "job": uuid_of("job"),
        "status": choice_of("status", Decision),
        "iteration_name": text_of("iteration_name"),
        "score_min": number_of("avg_score", Comparison.AT_LEAST),
        "score_max": number_of("avg_score", Comparison.AT_MOST),
    },
    order=("order", "avg_score", "created_at", "iteration_name", "status"),
)


async def _job_values(session: AsyncSession, principal: Principal, wire: JobInput) -> dict[str, Any]:
    values = sent(wire, JOB_NAMES)
    if "triggered_by" in values:
        values["triggered_by"] = await read_number(session, principal, "triggered_by", wire.triggered_by)
    return values


async def _render_jobs(session: AsyncSession, principal: Principal, rows: Sequence[JobRow]) -> list[BaseModel]:
    numbers = await load_numbers(session, principal, (row.created_by for row in rows))
    agents = await service.agent_names(session, principal, rows)
    return [render_job_row(row, numbers=numbers, agents=agents) for row in rows]


async def _render_job(session: AsyncSession, principal: Principal, row: JobRow) -> Job:
    iterations = (await service.iterations_of(session, [row])).get(row.id, ())
    users = {row.created_by, row.triggered_by, *(iteration.created_by for iteration in iterations)}
    numbers = await load_numbers(session, principal, users)
    agents = await service.agent_names(session, principal, [row])
    return render_job(row, numbers=numbers, agents=agents, iterations=iterations)


async def _iteration_values(session: AsyncSession, principal: Principal, wire: IterationInput) -> dict[str, Any]:
    return sent(wire, ITERATION_NAMES)


async def _render_iterations(
    session: AsyncSession, principal: Principal, rows: Sequence[JobIterationRow]
) -> list[BaseModel]:
    numbers = await load_numbers(session, principal, (row.created_by for row in rows))
    return [render_iteration(row, numbers=numbers) for row in rows]


async def _render_iteration(session: AsyncSession, principal: Principal, row: JobIterationRow) -> BaseModel:
    return (await _render_iterations(session, principal, [row]))[0]


jobs = Resource(tag="jobs")
iterations = Resource(tag="job-iterations")

# Every field of a job is optional already, so a change has the same form as a new one.
Collection(
    path="/jobs",
    name="jobs",
    models=Models(JobInput, JobInput, JobListRow, Job),
    cases=UseCases(service.create_job, service.find_job, service.update_job, service.delete_job, service.list_jobs),
    filters=JOB_FILTERS,
    values=_job_values,
    render_rows=_render_jobs,
    render=_render_job,
).publish(jobs)

Collection(
    path="/job-iterations",
    name="job_iterations",
    models=Models(IterationInput, IterationPatch, Iteration, Iteration),
    cases=UseCases(
        service.create_iteration,
        service.find_iteration,
        service.update_iteration,
        service.delete_iteration,
        service.list_iterations,
    ),
    filters=ITERATION_FILTERS,
    values=_iteration_values,
    render_rows=_render_iterations,
    render=_render_iteration,
).publish(iterations)
