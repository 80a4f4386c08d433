"""Organizations, projects and keys against PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, make_url, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from assay.core.projects import service
from assay.core.projects.errors import (
    ApiKeyNotFoundError,
    DelegationForbiddenError,
    InvalidCredentialsError,
    InvalidExpiryError,
    InvalidNameError,
    MissingRoleError,
    MissingScopeError,
    PresetKeyRevokedError,
    PresetKeyTooShortError,
    ProjectForbiddenError,
    ProjectNotFoundError,
    UnknownScopeError,
    UserNotFoundError,
)
from assay.core.projects.models import ApiKeyRow, MembershipRow, OrganizationRow, ProjectRow, UserRow
from assay.core.projects.types import Credentials, IssuedApiKey, Principal, Role, Scope
from assay.db.base import Base
from assay.db.engine import SessionFactory, open_engine, session_factory
from assay.db.session import transaction
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

TABLES = [OrganizationRow, UserRow, ProjectRow, MembershipRow, ApiKeyRow]


@pytest.fixture
async def credentials(session: AsyncSession) -> Credentials:
    return await service.create_organization(session, name="Acme")


@pytest.fixture
async def owner(session: AsyncSession, credentials: Credentials) -> Principal:
    return await sign_in(session, credentials)


async def sign_in(session: AsyncSession, credentials: Credentials) -> Principal:
    assert credentials.api_key is not None
    return await service.authenticate(session, credentials.api_key)


async def create_key(session: AsyncSession, principal: Principal, *scopes: Scope) -> IssuedApiKey:
    return await service.create_api_key(session, principal, name="key", scopes=scopes or [Scope.ALL])


async def test_a_new_organization_comes_with_a_key_that_may_do_everything(
    session: AsyncSession, credentials: Credentials, owner: Principal
) -> None:
    assert owner.organization_id == credentials.organization_id
    assert owner.project_id == credentials.project_id
    assert owner.role is Role.OWNER
    assert owner.scopes == {Scope.ALL}
    assert owner.may_delegate
    assert credentials.capture_token.startswith("phc_")
    project = await service.get_project(session, owner)
    assert (project.number, project.name) == (credentials.project_number, "Default")
    assert owner.user_id is not None
    assert (await service.get_user(session, owner, user_id=owner.user_id)).role is Role.OWNER


async def test_only_the_digest_of_a_key_is_stored(session: AsyncSession, owner: Principal) -> None:
    issued = await create_key(session, owner)
    assert issued.token.startswith("mk-")
    assert len(issued.token) >= 46
    stored = (
        await session.execute(
            text("SELECT row_to_json(api_keys)::text FROM api_keys WHERE id = :id"), {"id": issued.api_key.id}
        )
    ).scalar_one()
    assert issued.token not in stored
    assert issued.token.startswith(issued.api_key.prefix)
    assert issued.token not in repr(issued.api_key)


async def test_a_key_has_what_it_was_given(session: AsyncSession, owner: Principal) -> None:
    issued = await create_key(session, owner, Scope.EVALS_READ, Scope.DATASET_WRITE)
    principal = await service.authenticate(session, issued.token)
    assert principal.key_id == issued.api_key.id
    assert principal.scopes == {Scope.EVALS_READ, Scope.DATASET_WRITE}
    assert not principal.may_delegate
    assert [key.id for key in await service.list_api_keys(session, owner)] == [issued.api_key.id, owner.key_id]


@pytest.mark.parametrize("token", ["", "mk-", "mk-" + "0" * 43, "\0", "ключ", "\ud800", "x" * 100_000])
async def test_unknown_tokens_are_refused(session: AsyncSession, token: str) -> None:
    with pytest.raises(InvalidCredentialsError):
        await service.authenticate(session, token)
    with pytest.raises(InvalidCredentialsError):
        await service.authenticate_capture(session, token)


async def test_revoked_keys_are_refused_and_revoking_repeats(session: AsyncSession, owner: Principal) -> None:
    issued = await create_key(session, owner)
    revoked = await service.revoke_api_key(session, owner, key_id=issued.api_key.id)
    assert revoked.revoked_at is not None
    assert await service.revoke_api_key(session, owner, key_id=issued.api_key.id) == revoked
    with pytest.raises(InvalidCredentialsError):
        await service.authenticate(session, issued.token)


async def test_expired_keys_are_refused(session: AsyncSession, owner: Principal) -> None:
    issued = await service.create_api_key(
        session, owner, name="short", scopes=["*"], expires_at=utc_now() + timedelta(hours=1)
    )
    assert (await service.authenticate(session, issued.token)).key_id == issued.api_key.id
    past = utc_now() - timedelta(seconds=1)
    await session.execute(update(ApiKeyRow).where(ApiKeyRow.id == issued.api_key.id).values(expires_at=past))
    with pytest.raises(InvalidCredentialsError):
        await service.authenticate(session, issued.token)
    with pytest.raises(InvalidExpiryError):
        await service.create_api_key(session, owner, name="late", scopes=["*"], expires_at=past)


async def test_keys_of_users_who_left_are_refused(
    session: AsyncSession, owner: Principal, credentials: Credentials
) -> None:
    await session.execute(update(UserRow).where(UserRow.id == owner.user_id).values(deactivated_at=utc_now()))
    with pytest.raises(InvalidCredentialsError):
        await sign_in(session, credentials)


async def test_a_lowered_role_lowers_the_users_keys(
    session: AsyncSession, owner: Principal, credentials: Credentials
) -> None:
    await session.execute(update(MembershipRow).where(MembershipRow.user_id == owner.user_id).values(role=Role.VIEWER))
    viewer = await sign_in(session, credentials)
    assert viewer.allows(Scope.EVALS_READ)
    assert not viewer.allows(Scope.EVALS_WRITE)
    with pytest.raises(MissingScopeError):
        await create_key(session, viewer)


async def test_use_of_a_key_is_noted_about_once_a_minute(session: AsyncSession, owner: Principal) -> None:
    issued = await create_key(session, owner)

    async def last_used_after_use(stored: timedelta | None) -> bool:
        before = None if stored is None else utc_now() - stored
        await session.execute(update(ApiKeyRow).where(ApiKeyRow.id == issued.api_key.id).values(last_used_at=before))
        await service.authenticate(session, issued.token)
        after = await session.scalar(select(ApiKeyRow.last_used_at).where(ApiKeyRow.id == issued.api_key.id))
        return after != before

    assert await last_used_after_use(None)
    assert await last_used_after_use(timedelta(seconds=61))
    assert not await last_used_after_use(timedelta(seconds=30))


@pytest.mark.parametrize("wanted", [Scope.ALL, Scope.EVALS_WRITE, Scope.FILES_READ])
async def test_a_key_cannot_make_a_stronger_key(session: AsyncSession, owner: Principal, wanted: Scope) -> None:
    weak = replace(owner, scopes=frozenset({Scope.API_KEY_WRITE, Scope.EVALS_READ}))
    with pytest.raises(MissingScopeError):
        await create_key(session, weak, wanted)
    assert (await create_key(session, weak, Scope.EVALS_READ)).api_key.scopes == {Scope.EVALS_READ}


async def test_delegation_is_not_gained_by_making_keys(session: AsyncSession, owner: Principal) -> None:
    plain = replace(owner, may_delegate=False)
    with pytest.raises(DelegationForbiddenError):
        await service.create_api_key(session, plain, name="key", scopes=["*"], may_delegate=True)
    with pytest.raises(MissingRoleError):
        await create_key(session, owner.delegate("end user"))
    with pytest.raises(MissingRoleError):
        await service.list_api_keys(session, owner.delegate("end user"))


async def test_unknown_scopes_and_bad_names_are_named(session: AsyncSession, owner: Principal) -> None:
    with pytest.raises(UnknownScopeError, match=r"'read:everything'.*read:evals"):
        await service.create_api_key(session, owner, name="key", scopes=["read:everything"])
    for name in ("", " ", "x" * 256, "a\0b"):
        with pytest.raises(InvalidNameError):
            await service.create_api_key(session, owner, name=name, scopes=["*"])
        with pytest.raises(InvalidNameError):
            await service.create_project(session, owner, name=name)


async def test_editors_revoke_their_own_keys_only(session: AsyncSession, owner: Principal) -> None:
    colleague = UserRow(name="Colleague", email=None)
    session.add(colleague)
    await session.flush()
    session.add(MembershipRow(organization_id=owner.organization_id, user_id=colleague.id, role=Role.EDITOR))
    editor = replace(owner, user_id=colleague.id, role=Role.EDITOR)
    theirs, others = await create_key(session, editor), await create_key(session, owner)
    await service.revoke_api_key(session, editor, key_id=theirs.api_key.id)
    with pytest.raises(MissingRoleError):
        await service.revoke_api_key(session, editor, key_id=others.api_key.id)


async def test_tenants_see_nothing_of_each_other(session: AsyncSession, owner: Principal) -> None:
    credentials = await service.create_organization(session, name="Other")
    other = await sign_in(session, credentials)
    issued = await create_key(session, owner)
    assert issued.api_key.id not in {key.id for key in await service.list_api_keys(session, other)}
    with pytest.raises(ApiKeyNotFoundError):
        await service.revoke_api_key(session, other, key_id=issued.api_key.id)
    assert owner.user_id is not None
    with pytest.raises(UserNotFoundError):
        await service.get_user(session, other, user_id=owner.user_id)
    assert [project.id for project in await service.list_projects(session, other)] == [other.project_id]
    with pytest.raises(ProjectForbiddenError):
        await service.get_project(session, other, project=owner.project_id)


async def test_projects_are_found_by_id_and_number(session: AsyncSession, owner: Principal) -> None:
    project = await service.get_project(session, owner)
    assert await service.get_project(session, owner, project=project.number) == project
    assert await service.get_project(session, owner, project=project.id) == project
    second = await service.create_project(session, owner, name="Second")
    assert second.number != project.number
    assert second.capture_token != project.capture_token
    assert await service.list_projects(session, owner) == (project, second)
    assert await service.list_projects(session, replace(owner, role=Role.EDITOR)) == (project,)
    with pytest.raises(ProjectForbiddenError):
        await service.get_project(session, owner, project=second.number)
    operator = await service.get_operator(session, project=second.number)
    assert (await service.get_project(session, operator)).id == second.id


@pytest.mark.parametrize("reference", [0, -1, 2**31 - 1, 2**31, 2**80, UUID(int=0)])
async def test_unknown_projects_are_not_found(session: AsyncSession, owner: Principal, reference: int | UUID) -> None:
    with pytest.raises(ProjectNotFoundError):
        await service.get_project(session, owner, project=reference)
    with pytest.raises(ProjectNotFoundError):
        await service.get_operator(session, project=reference)


async def test_only_admins_make_projects(session: AsyncSession, owner: Principal) -> None:
    for principal in (replace(owner, role=Role.EDITOR), owner.delegate("end user")):
        with pytest.raises(MissingRoleError):
            await service.create_project(session, principal, name="Mine")


async def test_a_capture_token_may_only_send_events(session: AsyncSession, credentials: Credentials) -> None:
    principal = await service.authenticate_capture(session, credentials.capture_token)
    assert principal.project_id == credentials.project_id
    assert [scope for scope in Scope if principal.allows(scope)] == [Scope.EVENT_CAPTURE]
    with pytest.raises(InvalidCredentialsError):
        await service.authenticate(session, credentials.capture_token)


@pytest.fixture
async def empty_sessions(database_url: str, engine: AsyncEngine) -> AsyncGenerator[SessionFactory]:
    """Sessions on a database of their own, with the tables of this feature and no rows."""
    name = f"bootstrap_{new_id().hex}"
    async with engine.connect() as plain:
        await (await plain.execution_options(isolation_level="AUTOCOMMIT")).execute(text(f"CREATE DATABASE {name}"))
    url = make_url(database_url).set(database=name).render_as_string(hide_password=False)
    own = open_engine(url, pool_size=4)
    tables = [Base.metadata.tables[model.__tablename__] for model in TABLES]
    async with own.begin() as connection:
        await connection.run_sync(lambda sync: Base.metadata.create_all(sync, tables=tables))
    yield session_factory(own)
    await own.dispose()
    async with engine.connect() as plain:
        await (await plain.execution_options(isolation_level="AUTOCOMMIT")).execute(text(f"DROP DATABASE {name}"))


async def bootstrap(sessions: SessionFactory, api_key: str | None = None) -> Credentials:
    async with transaction(sessions) as session:
        return await service.bootstrap(session, api_key=api_key)


async def test_bootstrap_makes_everything_once(empty_sessions: SessionFactory) -> None:
    async with asyncio.TaskGroup() as group:
        starts = [group.create_task(bootstrap(empty_sessions)) for _ in range(4)]
    results = [start.result() for start in starts]
    assert len([result for result in results if result.api_key is not None]) == 1
    assert {replace(result, api_key=None) for result in results} == {replace(results[0], api_key=None)}
    async with empty_sessions() as session:
        for model in TABLES:
            assert await session.scalar(select(func.count()).select_from(model)) == 1
    assert (await bootstrap(empty_sessions)).api_key is None


async def test_bootstrap_adds_a_preset_key_once(empty_sessions: SessionFactory) -> None:
    first = await bootstrap(empty_sessions)
    preset = "ovr_" + "p" * 20
    for _ in range(2):
        again = await bootstrap(empty_sessions, preset)
        assert again == replace(first, api_key=preset)
    async with empty_sessions() as session:
        principal = await service.authenticate(session, preset)
        assert principal.scopes == {Scope.ALL}
        assert principal.may_delegate
        assert len(await service.list_api_keys(session, principal)) == 2
        assert first.api_key is not None
        assert (await service.authenticate(session, first.api_key)).project_id == first.project_id


async def test_bootstrap_can_start_from_a_preset_key(empty_sessions: SessionFactory) -> None:
    preset = "anything of 20 chars".replace(" ", "-")
    assert (await bootstrap(empty_sessions, preset)).api_key == preset
    async with empty_sessions() as session:
        principal = await service.authenticate(session, preset)
        assert [key.prefix for key in await service.list_api_keys(session, principal)] == [preset[:7]]


async def test_bootstrap_refuses_a_revoked_preset_key(empty_sessions: SessionFactory) -> None:
    preset = "p" * 20
    await bootstrap(empty_sessions, preset)
    async with transaction(empty_sessions) as session:
        principal = await service.authenticate(session, preset)
        assert principal.key_id is not None
        await service.revoke_api_key(session, principal, key_id=principal.key_id)
    with pytest.raises(PresetKeyRevokedError):
        await bootstrap(empty_sessions, preset)


@pytest.mark.parametrize("preset", ["", "p" * 19, "p" * 20 + " ", "p" * 20 + "\n"])
async def test_bootstrap_refuses_weak_preset_keys(session: AsyncSession, preset: str) -> None:
    with pytest.raises(PresetKeyTooShortError):
        await service.bootstrap(session, api_key=preset)
