"""The key's project, API keys, and who is calling (O§2.5, O§2.8).

A key belongs to one project, so that is the only one there is to be seen. A person who signed in with a password sees
all of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.accounts.tokens import in_project
from assay.core.jobs.errors import ProjectMismatchError
from assay.core.projects import members, profiles, service, types
from assay.core.projects.tokens import JOBS_KEY_PREFIX
from assay.core.projects.types import Principal, Scope
from assay.db.listing import ListQuery, SortBy
from assay.dialects.edge.access import caller_with
from assay.dialects.overmind.people import load_numbers
from assay.dialects.overmind.query import Filters, read_query, read_slice, render_page, text_of
from assay.dialects.overmind.route import JobReader, PathNotFoundError, Resource, Session, read_body, read_id
from assay.dialects.overmind.wire.base import Page, parse, sent
from assay.dialects.overmind.wire.projects import (
    ApiKey,
    ApiKeyInput,
    IssuedApiKey,
    Me,
    Project,
    ProjectInput,
    ProjectPatch,
)
from assay.kit.clock import utc_now
from assay.kit.errors import ForbiddenError

FILTERS = Filters(
    parameters={"name": text_of("name"), "slug": text_of("slug")}, order=("name", "slug", "created_at", "updated_at")
)
KEY_FILTERS = Filters()
ProjectReader = Annotated[Principal, caller_with(Scope.PROJECT_READ)]
ProjectWriter = Annotated[Principal, caller_with(Scope.PROJECT_WRITE)]
KeyReader = Annotated[Principal, caller_with(Scope.API_KEY_READ)]
KeyWriter = Annotated[Principal, caller_with(Scope.API_KEY_WRITE)]

projects = Resource(tag="projects")
auth = Resource(tag="auth")


class ProjectCreationError(ForbiddenError):
    """A key of one project makes no other."""

    code = "project_creation_forbidden"

    def __init__(self) -> None:
        super().__init__(
            "A key of one project cannot make another. Use `assay projects create`, then `assay keys create --project`."
        )


async def list_projects(request: Request, session: Session, principal: ProjectReader) -> Any:
    """The caller's projects that match."""
    part, query = read_slice(request), read_query(request, FILTERS)
    found = [project for project in await _projects_of(session, principal) if _matches(project, query)]
    for field, descending in reversed(query.order or (SortBy("name"),)):
        found.sort(key=lambda project: getattr(project, field), reverse=descending)
    shown = [
        await _render(session, await reach(session, principal, project.id), project)
        for project in found[part.offset : part.offset + part.limit]
    ]
    return render_page(request, part, len(found), shown)


async def create_project(request: Request, session: Session, principal: ProjectWriter) -> Project:
    """Make a project of the caller's organization. Refused to keys, which are of one project."""
    wire = parse(ProjectInput, await read_body(request))
    if not _is_person(principal):
        raise ProjectCreationError
    made = await service.create_project(session, principal, name=wire.name)
    there = await reach(session, principal, made.id)
    return await _render(session, there, await profiles.update_project(session, there, sent(wire)))


async def get_project(row_id: str, session: Session, principal: ProjectReader) -> Project:
    """A project of the caller."""
    there = await reach(session, principal, read_id(row_id))
    return await _render(session, there, await service.get_project(session, there))


async def patch_project(row_id: str, request: Request, session: Session, principal: ProjectWriter) -> Project:
    """Change some fields."""
    return await _change(row_id, request, session, principal, ProjectPatch)


async def put_project(row_id: str, request: Request, session: Session, principal: ProjectWriter) -> Project:
    """Change it, with all that a new one needs."""
    return await _change(row_id, request, session, principal, ProjectInput)


async def delete_project(row_id: str, session: Session, principal: ProjectWriter) -> Response:
    """Delete a project, and with it its keys."""
    await profiles.delete_project(session, await reach(session, principal, read_id(row_id)))
    return Response(status_code=204)


async def list_keys(request: Request, session: Session, principal: KeyReader) -> Any:
    """The keys of the caller's own user in this project that still work, newest first."""
    part = read_slice(request)
    keys = [key for key in await service.list_api_keys(session, principal) if key.user_id == principal.user_id]
    shown = [_render_key(key) for key in keys if key.revoked_at is None]
    return render_page(request, part, len(shown), shown[part.offset : part.offset + part.limit])


async def create_key(request: Request, session: Session, principal: KeyWriter) -> IssuedApiKey:
    """Make a key that may do what the caller's may."""
    wire = parse(ApiKeyInput, await read_body(request))
    if wire.project != principal.project_id:
        raise ProjectMismatchError(wire.project)
    expires_at = None if wire.expires_in_days is None else utc_now() + timedelta(days=wire.expires_in_days)
    issued = await service.create_api_key(
        session,
        principal,
        name=wire.name or "API key",
        scopes=principal.scopes,
        expires_at=expires_at,
        prefix=JOBS_KEY_PREFIX,
    )
    key = issued.api_key
    return IssuedApiKey.model_construct(
        id=key.id, key=issued.token, name=key.name, prefix=key.prefix, created_at=key.created_at
    )


async def delete_key(row_id: str, session: Session, principal: KeyWriter) -> Response:
    """Revoke a key."""
    key_id = read_id(row_id)
    if not any(key.id == key_id for key in await service.list_api_keys(session, principal)):
        raise PathNotFoundError
    await service.revoke_api_key(session, principal, key_id=key_id)
    return Response(status_code=204)


async def get_me(session: Session, principal: JobReader) -> Me:
    """The user of the key."""
    if principal.user_id is None:
        raise PathNotFoundError
    user = await service.get_user(session, principal, user_id=principal.user_id)
    return Me.model_construct(id=user.number, email=user.email or "", email_verified=False)


async def reach(session: AsyncSession, principal: Principal, project_id: UUID) -> Principal:
    """The caller in the project that a path names: a key only in its own, a person in any of theirs.

    Raises:
        ProjectNotFoundError, ProjectForbiddenError: It is none of the caller's.
    """
    if _is_person(principal):
        return await in_project(session, principal, project_id)
    await service.get_project(session, principal, project=project_id)
    return principal


def _is_person(principal: Principal) -> bool:
    return principal.key_id is None and principal.user_id is not None


async def _projects_of(session: AsyncSession, principal: Principal) -> list[types.Project]:
    if _is_person(principal) and principal.user_id is not None:
        return list(await members.list_projects_of(session, principal.user_id))
    return [await service.get_project(session, principal)]


def _matches(project: types.Project, query: ListQuery) -> bool:
    texts = f"{project.name} {project.slug} {project.description}".lower()
    named: Mapping[str, str] = {"name": project.name, "slug": project.slug}
    return all(named[field] == value for field, _, value in query.filters) and all(
        term.lower() in texts for term in query.terms
    )


async def _change(
    row_id: str, request: Request, session: AsyncSession, principal: Principal, model: type[ProjectInput]
) -> Project:
    there = await reach(session, principal, read_id(row_id))
    wire = parse(model, await read_body(request))
    session.expire_all()
    return await _render(session, there, await profiles.update_project(session, there, sent(wire)))


async def _render(session: AsyncSession, principal: Principal, project: types.Project) -> Project:
    owner = (await load_numbers(session, principal, [])).of(None)
    return Project.model_construct(
        id=project.id,
        created_at=project.created_at,
        updated_at=project.updated_at,
        user=owner,
        organisation=project.organization_id,
        name=project.name,
        slug=project.slug,
        description=project.description,
        is_active=project.is_active,
        settings=project.settings,
    )


def _render_key(key: types.ApiKey) -> ApiKey:
    return ApiKey.model_construct(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        project=key.project_id,
        is_active=key.expires_at is None or key.expires_at > utc_now(),
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        created_at=key.created_at,
    )


def _publish(add: Callable[..., None], keys: Callable[..., None]) -> None:
    one = "/projects/{row_id}/"
    add("GET", "/projects/", list_projects, name="projects_list", gives=Page[Project], filters=FILTERS)
    add(
        "POST",
        "/projects/",
        create_project,
        name="projects_create",
        status_code=201,
        body=ProjectInput,
        gives=Project,
    )
    add("GET", one, get_project, name="projects_retrieve", gives=Project)
    add("PATCH", one, patch_project, name="projects_partial_update", body=ProjectPatch, gives=Project)
    add("PUT", one, put_project, name="projects_update", body=ProjectInput, gives=Project)
    add("DELETE", one, delete_project, name="projects_destroy", status_code=204)
    keys("GET", "/auth/me/", get_me, name="auth_me", gives=Me)
    path = "/auth/api-keys/"
    keys("GET", path, list_keys, name="auth_api_keys_list", gives=Page[ApiKey], filters=KEY_FILTERS)
    keys("POST", path, create_key, name="auth_api_keys_create", status_code=201, body=ApiKeyInput, gives=IssuedApiKey)
    keys("DELETE", f"{path}{{row_id}}/", delete_key, name="auth_api_keys_destroy", status_code=204)


_publish(projects.add, auth.add)
