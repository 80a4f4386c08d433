"""Evaluations (P§2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators import keys, service
from assay.core.evaluators.errors import EvaluatorNotFoundError
from assay.core.evaluators.types import Evaluator
from assay.core.online.preview import prepare_preview, run_preview
from assay.core.projects.service import list_users
from assay.core.projects.types import Principal
from assay.dialects.edge.state import give_back, state_of
from assay.dialects.posthog.errors import render_superset
from assay.dialects.posthog.evaluations import (
    COMPACT_CLIENT,
    LEFT_OUT_WHEN_COMPACT,
    EvaluationInput,
    EvaluationPatch,
    evaluation_renderer,
    evaluator_values,
    read_evaluator_query,
)
from assay.dialects.posthog.preview import TestHogInput, preview_error, preview_request, render_preview
from assay.dialects.posthog.query import read_slice, render_page
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
from assay.kit.errors import DomainError

evaluations = Resource(tag="evaluations")


@evaluations.route("GET", "/evaluations")
async def list_evaluations(
    project_id: ProjectPath, request: Request, principal: EvaluationReader, session: Session
) -> dict[str, Any]:
    """Evaluations that match, newest first unless ordered otherwise."""
    await open_project(session, principal, project_id)
    part = read_slice(request)
    found = await service.list_evaluators(session, principal, read_evaluator_query(request), part)
    rendered = dict(zip(map(id, found.rows), await _render(session, principal, found.rows), strict=True))
    page = render_page(request, part, found, lambda row: rendered[id(row)])
    if request.headers.get("x-posthog-client", "").lower() == COMPACT_CLIENT:
        page["results"] = [
            {name: value for name, value in row.items() if name not in LEFT_OUT_WHEN_COMPACT} for row in page["results"]
        ]
    return page


@evaluations.route("POST", "/evaluations", status_code=201)
async def create_evaluation(
    project_id: ProjectPath, request: Request, principal: EvaluationWriter, session: Session
) -> dict[str, Any]:
    """Make an evaluation."""
    await open_project(session, principal, project_id)
    values = evaluator_values(parse(EvaluationInput, await read_object(request)))
    made = await service.create_evaluator(session, principal, values, state_of(request).judges)
    return (await _render(session, principal, [made]))[0]


@evaluations.route("POST", "/evaluations/test_hog", reads=True)
async def try_program(project_id: ProjectPath, request: Request, principal: EvaluationReader, session: Session) -> Any:
    """Try a Hog program on recent traffic without keeping anything (P§4.2)."""
    await open_project(session, principal, project_id)
    try:
        wire = parse(TestHogInput, await read_object(request))
        prepared = await prepare_preview(session, principal, preview_request(wire))
    except DomainError as error:
        return render_superset(preview_error(error))
    await give_back(session)
    return render_preview(wire.target, prepared, await run_preview(state_of(request).hog, prepared))


@evaluations.route("GET", "/evaluations/{evaluation_id}")
async def get_evaluation(
    project_id: ProjectPath, evaluation_id: str, principal: EvaluationReader, session: Session
) -> dict[str, Any]:
    """An evaluation."""
    await open_project(session, principal, project_id)
    return (await _render(session, principal, [await _find(session, principal, evaluation_id)]))[0]


@evaluations.route("PATCH", "/evaluations/{evaluation_id}")
async def patch_evaluation(
    project_id: ProjectPath, evaluation_id: str, request: Request, principal: EvaluationWriter, session: Session
) -> dict[str, Any]:
    """Change some fields; keys of the output's configuration that are not sent stay as they are."""
    return await _change(project_id, evaluation_id, request, principal, session, EvaluationPatch)


@evaluations.route("PUT", "/evaluations/{evaluation_id}")
async def put_evaluation(
    project_id: ProjectPath, evaluation_id: str, request: Request, principal: EvaluationWriter, session: Session
) -> dict[str, Any]:
    """Change it, with all that a new one needs."""
    return await _change(project_id, evaluation_id, request, principal, session, EvaluationInput)


@evaluations.route("DELETE", "/evaluations/{evaluation_id}")
async def delete_evaluation(
    project_id: ProjectPath, evaluation_id: str, principal: EvaluationWriter, session: Session
) -> Response:
    """Refused: a client sets ``deleted`` instead (P§1.6)."""
    await open_project(session, principal, project_id)
    await _find(session, principal, evaluation_id)
    return Response(status_code=405)


async def _change(
    project_id: str,
    evaluation_id: str,
    request: Request,
    principal: Principal,
    session: AsyncSession,
    model: type[EvaluationInput],
) -> dict[str, Any]:
    await open_project(session, principal, project_id)
    if (found := read_uuid(evaluation_id)) is None:
        raise EvaluatorNotFoundError(evaluation_id)
    row = await service.lock_evaluator(session, principal, found)
    values = evaluator_values(parse(model, await read_object(request)))
    if model is EvaluationPatch and "output_config" in values:
        values["output_config"] = service.merged_output(row, values["output_config"], values.get("output_kind"))
    changed = await service.update_evaluator(session, principal, row, values, state_of(request).judges)
    return (await _render(session, principal, [changed]))[0]


async def _find(session: AsyncSession, principal: Principal, evaluation_id: str) -> Evaluator:
    if (found := read_uuid(evaluation_id)) is None:
        raise EvaluatorNotFoundError(evaluation_id)
    return await service.find_evaluator(session, principal, found)


async def _render(session: AsyncSession, principal: Principal, found: Sequence[Evaluator]) -> Sequence[dict[str, Any]]:
    """With their authors and the names of their keys, each looked up once."""
    authors = await list_users(session, principal, (one.created_by for one in found if one.created_by is not None))
    models = (one.definition.model for one in found)
    key_ids = {model.provider_key_id for model in models if model is not None and model.provider_key_id is not None}
    names = await keys.key_names(session, sorted(key_ids))
    return list(map(evaluation_renderer(principal, authors, names), found))
