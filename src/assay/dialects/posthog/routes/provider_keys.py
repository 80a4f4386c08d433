"""Provider keys, the models that they open, and the project's active key (P§3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators import keys
from assay.core.evaluators.errors import ProviderKeyNotFoundError
from assay.core.evaluators.types import EvaluationSettings, KeyProvider, ProviderKey
from assay.core.projects.service import list_users
from assay.core.projects.types import Principal
from assay.dialects.edge.state import state_of
from assay.dialects.posthog.errors import FieldError
from assay.dialects.posthog.keys import (
    ActiveKeyInput,
    ProviderKeyInput,
    ProviderKeyPatch,
    key_renderer,
    key_values,
    settings_renderer,
)
from assay.dialects.posthog.mapping import Authors
from assay.dialects.posthog.query import read_choice, read_id, read_slice, render_page
from assay.dialects.posthog.route import (
    AnalyticsReader,
    EvaluationWriter,
    KeyReader,
    KeyWriter,
    ProjectPath,
    Resource,
    Session,
    open_project,
    read_object,
    read_uuid,
)
from assay.dialects.posthog.wire import parse

provider_keys = Resource(tag="provider_keys")


@provider_keys.route("GET", "/llm_analytics/provider_keys")
async def list_keys(
    project_id: ProjectPath, request: Request, principal: KeyReader, session: Session
) -> dict[str, Any]:
    """Provider keys, newest first."""
    await open_project(session, principal, project_id)
    part = read_slice(request)
    found = await keys.list_keys(session, principal, part)
    return render_page(request, part, found, key_renderer(await _authors(session, principal, found.rows)))


@provider_keys.route("POST", "/llm_analytics/provider_keys", status_code=201)
async def create_key(
    project_id: ProjectPath, request: Request, principal: KeyWriter, session: Session
) -> dict[str, Any]:
    """Try a key at its provider, and store it if it works."""
    await open_project(session, principal, project_id)
    values = key_values(parse(ProviderKeyInput, await read_object(request)))
    made = await keys.create_key(session, principal, values, state_of(request).provider_keys)
    return await _render(session, principal, made)


@provider_keys.route("GET", "/llm_analytics/provider_keys/{key_id}")
async def get_key(project_id: ProjectPath, key_id: str, principal: KeyReader, session: Session) -> dict[str, Any]:
    """A provider key, without its secret."""
    await open_project(session, principal, project_id)
    return await _render(session, principal, await keys.find_key(session, principal, _key_id(key_id)))


@provider_keys.route("PATCH", "/llm_analytics/provider_keys/{key_id}")
async def patch_key(
    project_id: ProjectPath, key_id: str, request: Request, principal: KeyWriter, session: Session
) -> dict[str, Any]:
    """Rename a key, move it or replace its secret, which is tried first."""
    await open_project(session, principal, project_id)
    row = await keys.lock_key(session, principal, _key_id(key_id))
    values = key_values(parse(ProviderKeyPatch, await read_object(request)))
    changed = await keys.update_key(session, row, values, state_of(request).provider_keys)
    return await _render(session, principal, changed)


@provider_keys.route("DELETE", "/llm_analytics/provider_keys/{key_id}", status_code=204)
async def delete_key(project_id: ProjectPath, key_id: str, principal: KeyWriter, session: Session) -> Response:
    """Delete a key with its secret."""
    await open_project(session, principal, project_id)
    await keys.delete_key(session, await keys.lock_key(session, principal, _key_id(key_id)))
    return Response(status_code=204)


@provider_keys.route("POST", "/llm_analytics/provider_keys/{key_id}/validate")
async def validate_key(
    project_id: ProjectPath, key_id: str, request: Request, principal: KeyWriter, session: Session
) -> dict[str, Any]:
    """Try a key again; its state says what came of it."""
    await open_project(session, principal, project_id)
    row = await keys.lock_key(session, principal, _key_id(key_id))
    checked = await keys.validate_key(session, row, state_of(request).provider_keys)
    return await _render(session, principal, checked)


@provider_keys.route("GET", "/llm_analytics/models")
async def list_models(
    project_id: ProjectPath, request: Request, principal: AnalyticsReader, session: Session
) -> dict[str, Any]:
    """Models that a provider key opens: of ``key_id``, else of the active key."""
    await open_project(session, principal, project_id)
    provider = read_choice(request, "provider", KeyProvider)
    if provider is None:
        raise FieldError("provider", "required", "This parameter is required.")
    tools = state_of(request).provider_keys
    names = await keys.list_models(session, principal, provider, read_id(request, "key_id"), tools)
    return {"models": [{"id": name} for name in names]}


@provider_keys.route("GET", "/llm_analytics/evaluation_config")
async def get_settings(project_id: ProjectPath, principal: AnalyticsReader, session: Session) -> dict[str, Any]:
    """What holds for all evaluations of the project."""
    await open_project(session, principal, project_id)
    return await _render_settings(session, principal, await keys.open_settings(session, principal))


@provider_keys.route("POST", "/llm_analytics/evaluation_config/set_active_key")
async def set_active_key(
    project_id: ProjectPath, request: Request, principal: EvaluationWriter, session: Session
) -> dict[str, Any]:
    """Make a key the one that judges use when they name none."""
    await open_project(session, principal, project_id)
    wire = parse(ActiveKeyInput, await read_object(request))
    settings = await keys.set_active_key(session, principal, _key_id(wire.key_id))
    return await _render_settings(session, principal, settings)


def _key_id(text: str) -> UUID:
    if (found := read_uuid(text)) is None:
        raise ProviderKeyNotFoundError(text)
    return found


async def _render(session: AsyncSession, principal: Principal, key: ProviderKey) -> dict[str, Any]:
    return key_renderer(await _authors(session, principal, [key]))(key)


async def _render_settings(session: AsyncSession, principal: Principal, settings: EvaluationSettings) -> dict[str, Any]:
    shown = [] if settings.active_key is None else [settings.active_key]
    return settings_renderer(await _authors(session, principal, shown))(settings)


async def _authors(session: AsyncSession, principal: Principal, found: Sequence[ProviderKey]) -> Authors:
    return await list_users(session, principal, (key.created_by for key in found if key.created_by is not None))
