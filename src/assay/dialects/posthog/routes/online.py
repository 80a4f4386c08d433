"""Runs by hand (P§4.1), the ledger, backfills and budgets."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request

from assay.core.evaluators.errors import EvaluatorNotFoundError
from assay.core.online import backfills, budgets, service
from assay.core.online.errors import BackfillNotFoundError
from assay.dialects.posthog.errors import render_superset
from assay.dialects.posthog.online import (
    CURSOR,
    BackfillInput,
    BudgetInput,
    RunInput,
    backfill_scope,
    read_entry_query,
    read_moment,
    render_backfill,
    render_budget,
    render_entries,
    render_run,
    render_summary,
    run_request,
)
from assay.dialects.posthog.query import read_id, read_slice
from assay.dialects.posthog.route import (
    EvaluationReader,
    EvaluationWriter,
    ProjectPath,
    Resource,
    Session,
    open_project,
    read_object,
    read_uuid,
)
from assay.dialects.posthog.wire import parse
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError

online = Resource(tag="online evaluation")


@online.route("POST", "/evaluation_runs", status_code=202)
async def create_run(project_id: ProjectPath, request: Request, principal: EvaluationWriter, session: Session) -> Any:
    """Have an evaluation judge one event."""
    await open_project(session, principal, project_id)
    try:
        wire = parse(RunInput, await read_object(request))
        return render_run(await service.request_run(session, principal, run_request(wire)))
    except DomainError as error:
        return render_superset(error)


@online.route("GET", "/evaluation_ledger")
async def list_entries(
    project_id: ProjectPath, request: Request, principal: EvaluationReader, session: Session
) -> dict[str, Any]:
    """Entries that match, newest first."""
    await open_project(session, principal, project_id)
    limit = read_slice(request).limit
    query, before_id = read_entry_query(request), read_id(request, CURSOR)
    entries = await service.list_entries(session, principal, query, before_id=before_id, limit=limit + 1)
    return render_entries(request, entries, limit)


@online.route("GET", "/evaluations/{evaluation_id}/summary")
async def get_summary(
    project_id: ProjectPath, evaluation_id: str, request: Request, principal: EvaluationReader, session: Session
) -> dict[str, Any]:
    """Entries by outcome and reason, and how far the evaluation lags behind."""
    await open_project(session, principal, project_id)
    summary, breaker = await service.summarize(
        session,
        principal,
        _evaluation(evaluation_id),
        after=read_moment(request, "after"),
        before=read_moment(request, "before"),
    )
    return render_summary(summary, breaker)


@online.route("GET", "/evaluations/{evaluation_id}/budget")
async def get_budget(
    project_id: ProjectPath, evaluation_id: str, principal: EvaluationReader, session: Session
) -> dict[str, Any]:
    """What judging by one evaluation may cost in a day."""
    await open_project(session, principal, project_id)
    return render_budget(await budgets.read_budget(session, principal, _evaluation(evaluation_id)))


@online.route("PUT", "/evaluations/{evaluation_id}/budget")
async def put_budget(
    project_id: ProjectPath, evaluation_id: str, request: Request, principal: EvaluationWriter, session: Session
) -> dict[str, Any]:
    """Set it."""
    await open_project(session, principal, project_id)
    found = _evaluation(evaluation_id)
    await budgets.read_budget(session, principal, found)
    wire = parse(BudgetInput, await read_object(request))
    return render_budget(await budgets.set_budget(session, principal, found, **wire.model_dump()))


@online.route("GET", "/evaluation_budget")
async def get_project_budget(project_id: ProjectPath, principal: EvaluationReader, session: Session) -> dict[str, Any]:
    """What judging by all evaluations of the project may cost in a day."""
    await open_project(session, principal, project_id)
    return render_budget(await budgets.read_budget(session, principal, None))


@online.route("PUT", "/evaluation_budget")
async def put_project_budget(
    project_id: ProjectPath, request: Request, principal: EvaluationWriter, session: Session
) -> dict[str, Any]:
    """Set it."""
    await open_project(session, principal, project_id)
    wire = parse(BudgetInput, await read_object(request))
    return render_budget(await budgets.set_budget(session, principal, None, **wire.model_dump()))


@online.route("POST", "/evaluations/{evaluation_id}/backfills", status_code=201)
async def create_backfill(
    project_id: ProjectPath, evaluation_id: str, request: Request, principal: EvaluationWriter, session: Session
) -> dict[str, Any]:
    """Begin to take an evaluation over stored generations."""
    await open_project(session, principal, project_id)
    found = _evaluation(evaluation_id)
    await service.check_evaluator(session, principal, found)
    wire = parse(BackfillInput, await read_object(request))
    backfill = await backfills.create_backfill(session, principal, found, backfill_scope(wire, utc_now()))
    return render_backfill(backfill)


@online.route("GET", "/evaluations/{evaluation_id}/backfills")
async def list_backfills(
    project_id: ProjectPath, evaluation_id: str, request: Request, principal: EvaluationReader, session: Session
) -> dict[str, Any]:
    """An evaluation's last backfills, newest first."""
    await open_project(session, principal, project_id)
    limit = read_slice(request).limit
    found = await backfills.list_backfills(session, principal, _evaluation(evaluation_id), limit=limit)
    return {"results": [render_backfill(backfill) for backfill in found]}


@online.route("GET", "/evaluations/{evaluation_id}/backfills/{backfill_id}")
async def get_backfill(
    project_id: ProjectPath, evaluation_id: str, backfill_id: str, principal: EvaluationReader, session: Session
) -> dict[str, Any]:
    """A backfill and its progress."""
    await open_project(session, principal, project_id)
    return render_backfill(
        await backfills.get_backfill(session, principal, _evaluation(evaluation_id), _backfill(backfill_id))
    )


@online.route("POST", "/evaluations/{evaluation_id}/backfills/{backfill_id}/cancel")
async def cancel_backfill(
    project_id: ProjectPath, evaluation_id: str, backfill_id: str, principal: EvaluationWriter, session: Session
) -> dict[str, Any]:
    """Stop a backfill; what is under way goes on."""
    await open_project(session, principal, project_id)
    return render_backfill(
        await backfills.cancel_backfill(session, principal, _evaluation(evaluation_id), _backfill(backfill_id))
    )


def _evaluation(text: str) -> UUID:
    if (found := read_uuid(text)) is None:
        raise EvaluatorNotFoundError(text)
    return found


def _backfill(text: str) -> UUID:
    if (found := read_uuid(text)) is None:
        raise BackfillNotFoundError(text)
    return found
