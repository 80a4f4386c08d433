"""Sessions, passwords and members against PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from assay.core.accounts import service
from assay.core.accounts.errors import NoSessionError, WeakPasswordError, WrongPasswordError
from assay.core.accounts.models import PasswordRow, SessionRow
from assay.core.accounts.types import NewSession, Refusal
from assay.core.projects import members
from assay.core.projects.errors import (
    InvalidCredentialsError,
    InvalidEmailError,
    LastOwnerError,
    MemberExistsError,
    MissingRoleError,
    MissingScopeError,
)
from assay.core.projects.service import authenticate, create_api_key, create_organization, revoke_api_key
from assay.core.projects.types import Principal, Role, Scope
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit.clock import utc_now

PASSWORD = "correct horse battery"


class Place:
    """An organization with its owner's key."""

    def __init__(self, sessions: SessionFactory, key: str, owner: Principal) -> None:
        self.sessions, self.key, self.owner = sessions, key, owner


@pytest.fixture
async def place(sessions: SessionFactory) -> Place:
    async with transaction(sessions) as session:
        made = await create_organization(session, name="First", owner_name="Ada")
        assert made.api_key is not None
        owner = await authenticate(session, made.api_key)
    return Place(sessions, made.api_key, owner)


async def add(place: Place, email: str, role: Role = Role.EDITOR) -> None:
    async with transaction(place.sessions) as session:
        await service.add_account(session, place.owner, name="Bo", email=email, role=role, password=PASSWORD)


async def signed_in(place: Place, email: str, password: str = PASSWORD) -> NewSession | Refusal:
    async with transaction(place.sessions) as session:
        return await service.sign_in_with_password(session, email=email, password=password)


async def test_a_session_by_key_ends_with_the_key(place: Place) -> None:
    async with transaction(place.sessions) as session:
        issued = await create_api_key(session, place.owner, name="k", scopes=["read:evals"])
        begun = await service.sign_in_with_key(session, issued.token)
    async with transaction(place.sessions) as session:
        visitor = await service.find_visitor(session, begun.token)
        assert visitor.by_key
        assert visitor.name == "Ada"
        assert visitor.principal.scopes == {Scope.EVALS_READ}
        assert [one.id for one in await service.list_visible_projects(session, visitor)] == [place.owner.project_id]
        await revoke_api_key(session, place.owner, key_id=issued.api_key.id)
    async with place.sessions() as session:
        with pytest.raises(NoSessionError):
            await service.find_visitor(session, begun.token)
        with pytest.raises(InvalidCredentialsError):
            await service.sign_in_with_key(session, issued.token)


async def test_neither_password_nor_cookie_is_stored(place: Place) -> None:
    await add(place, "bo@example.com")
    begun = await signed_in(place, " Bo@Example.com ")
    assert isinstance(begun, NewSession)
    async with place.sessions() as session:
        stored = (await session.scalars(select(PasswordRow.hash))).one()
        digest = (await session.scalars(select(SessionRow.digest))).one()
        visitor = await service.find_visitor(session, begun.token)
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored
    assert begun.token.encode() not in digest
    assert (visitor.principal.role, visitor.principal.scopes) == (Role.EDITOR, {Scope.ALL})
    assert not visitor.by_key


async def test_failures_lock_and_a_right_password_forgives(place: Place) -> None:
    await add(place, "bo@example.com")
    for _ in range(service.FREE_FAILURES):
        assert await signed_in(place, "bo@example.com", "wrong") is Refusal.WRONG
    assert isinstance(await signed_in(place, "bo@example.com"), NewSession)
    for _ in range(service.FREE_FAILURES + 1):
        assert await signed_in(place, "bo@example.com", "wrong") is Refusal.WRONG
    assert await signed_in(place, "bo@example.com") is Refusal.LOCKED
    async with transaction(place.sessions) as session:
        await session.execute(update(PasswordRow).values(locked_until=utc_now()))
    assert isinstance(await signed_in(place, "bo@example.com"), NewSession)
    assert await signed_in(place, "nobody@example.com") is Refusal.WRONG


async def test_a_new_password_ends_other_sessions(place: Place) -> None:
    await add(place, "bo@example.com")
    here, there = await signed_in(place, "bo@example.com"), await signed_in(place, "bo@example.com")
    assert isinstance(here, NewSession)
    assert isinstance(there, NewSession)
    async with transaction(place.sessions) as session:
        visitor = await service.find_visitor(session, here.token)

        async def change(password: str, current: str) -> None:
            await service.set_own_password(session, visitor, email="bo@example.com", password=password, current=current)

        with pytest.raises(WrongPasswordError):
            await change("another password", "wrong")
        with pytest.raises(WeakPasswordError):
            await change("short", PASSWORD)
        await change("another password", PASSWORD)
    async with place.sessions() as session:
        await service.find_visitor(session, here.token)
        with pytest.raises(NoSessionError):
            await service.find_visitor(session, there.token)
    assert await signed_in(place, "bo@example.com") is Refusal.WRONG


async def test_a_session_ends_by_itself(place: Place) -> None:
    async with transaction(place.sessions) as session:
        begun = await service.sign_in_with_key(session, place.key)
        await session.execute(update(SessionRow).values(expires_at=utc_now()))
    async with transaction(place.sessions) as session:
        with pytest.raises(NoSessionError):
            await service.find_visitor(session, begun.token)
        await service.sign_in_with_key(session, place.key)
        assert await session.scalar(select(func.count()).select_from(SessionRow)) == 1


async def test_who_may_manage_members(place: Place) -> None:
    for email, role in (("admin@example.com", Role.ADMIN), ("viewer@example.com", Role.VIEWER)):
        await add(place, email, role)
    async with transaction(place.sessions) as session:
        known = {one.email: one for one in await members.list_members(session, place.owner)}
        project_id = place.owner.project_id
        admin = await members.principal_of_member(session, user_id=known["admin@example.com"].id, project_id=project_id)
        viewer = await members.principal_of_member(
            session, user_id=known["viewer@example.com"].id, project_id=project_id
        )
        with pytest.raises(MissingScopeError):
            await members.add_member(session, viewer, name="X", email="x@example.com", role=Role.VIEWER)
        with pytest.raises(MissingRoleError):
            await members.add_member(session, admin, name="X", email="x@example.com", role=Role.OWNER)
        with pytest.raises(MissingRoleError):
            await members.change_role(session, admin, user_id=known[None].id, role=Role.VIEWER)
        with pytest.raises(LastOwnerError):
            await members.change_role(session, place.owner, user_id=known[None].id, role=Role.ADMIN)
        with pytest.raises(LastOwnerError):
            await members.deactivate_member(session, place.owner, user_id=known[None].id)
        with pytest.raises(MemberExistsError):
            await members.add_member(session, admin, name="X", email="Admin@example.com", role=Role.VIEWER)
        for wrong in ("nobody", "@example.com", "a@b", "a\n@example.com"):
            with pytest.raises(InvalidEmailError):
                await members.add_member(session, admin, name="X", email=wrong, role=Role.VIEWER)
        promoted = await members.change_role(session, admin, user_id=known["viewer@example.com"].id, role=Role.EDITOR)
        assert promoted.role is Role.EDITOR
