"""Signing in with a password, and the members of a project (O§1.1, O§2.5, O§2.8).

Members belong to the organization, and so to each of its projects.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.accounts import service, tokens
from assay.core.accounts.errors import RegistrationClosedError
from assay.core.accounts.types import Account, Refusal, TokenPair
from assay.core.projects import members
from assay.core.projects.errors import MemberExistsError
from assay.core.projects.service import get_user, list_users
from assay.core.projects.types import Member, Principal
from assay.db.session import transaction
from assay.dialects.edge.state import AccountTools, state_of
from assay.dialects.overmind.errors import FieldErrors
from assay.dialects.overmind.people import read_number
from assay.dialects.overmind.query import Filters, read_slice, render_page
from assay.dialects.overmind.route import PathNotFoundError, Resource, Session, read_body, read_id
from assay.dialects.overmind.routes.projects import ProjectReader, ProjectWriter, reach
from assay.dialects.overmind.wire.accounts import (
    Membership,
    MembershipInput,
    RefreshInput,
    RegisteredUser,
    Registration,
    RegistrationInput,
    SignInInput,
    Tokens,
)
from assay.dialects.overmind.wire.base import Page, parse
from assay.kit.errors import ForbiddenError, UnauthenticatedError

REFUSALS = {
    Refusal.WRONG: "No active account found with the given credentials.",
    Refusal.LOCKED: "Too many wrong passwords in a row. Wait a while, then try again.",
}
MEMBERSHIP_FILTERS = Filters()

signing = Resource(tag="auth", is_open=True)
memberships = Resource(tag="projects")


class SignInError(UnauthenticatedError):
    """An e-mail address, a password or a token that does not open."""

    code = "sign_in"


class MembershipRemovalError(ForbiddenError):
    """Nobody leaves one project of an organization alone."""

    code = "membership_removal"

    def __init__(self) -> None:
        super().__init__(
            "Members belong to the whole organization. Shut somebody out, or lower their role, under Settings, Members."
        )


async def register(request: Request) -> Registration:
    """Add a person with an organization of their own, and sign them in."""
    tools = _tools(request)
    wire = parse(RegistrationInput, await read_body(request))
    if not tools.registration:
        raise RegistrationClosedError
    if wire.password != wire.password_confirm:
        raise FieldErrors.of("password_confirm", "The two passwords differ.")
    async with transaction(state_of(request).sessions) as session:
        try:
            account = await service.register(session, email=wire.email, password=wire.password)
        except MemberExistsError as error:
            raise FieldErrors.of("email", error.message) from error
        pair = await _begin(session, tools, account)
        person = await members.principal_of_member(session, user_id=account.user_id, project_id=account.project_ids[0])
        user = await get_user(session, person, user_id=account.user_id)
    shown = RegisteredUser.model_construct(id=user.number, email=user.email or "", email_verified=False)
    return Registration.model_construct(access=pair.access, refresh=pair.refresh, user=shown)


async def sign_in(request: Request) -> Tokens:
    """Tokens for an e-mail address and a password."""
    wire = parse(SignInInput, await read_body(request))
    async with transaction(state_of(request).sessions) as session:
        found = await service.check_account(session, email=wire.email, password=wire.password)
    if isinstance(found, Refusal):
        raise SignInError(REFUSALS[found])
    chosen = found.project_ids[0] if wire.project is None else wire.project
    if chosen not in found.project_ids:
        raise FieldErrors.of("project", f'Invalid pk "{chosen}" - object does not exist.')
    async with transaction(state_of(request).sessions) as session:
        return _render(await _begin(session, _tools(request), Account(found.user_id, (chosen,))))


async def refresh(request: Request) -> Tokens:
    """New tokens for a refresh token, which works no more."""
    wire = parse(RefreshInput, await read_body(request))
    async with transaction(state_of(request).sessions) as session:
        pair = await tokens.renew(session, _tools(request).signer, wire.refresh)
    if pair is None:
        raise SignInError("This refresh token was used before or has ended. Sign in again.")
    return _render(pair)


async def list_memberships(project_id: str, request: Request, session: Session, principal: ProjectReader) -> Any:
    """The active members of a project's organization, oldest first."""
    part = read_slice(request)
    there = await reach(session, principal, read_id(project_id))
    active = [member for member in await members.list_members(session, there) if member.deactivated_at is None]
    shown = await _render_members(session, there, active[part.offset : part.offset + part.limit])
    return render_page(request, part, len(active), shown)


async def create_membership(
    project_id: str, request: Request, session: Session, principal: ProjectWriter
) -> Membership:
    """Somebody of the organization, who is a member already."""
    there = await reach(session, principal, read_id(project_id))
    wire = parse(MembershipInput, await read_body(request))
    user_id = await read_number(session, there, "user_id", wire.user_id)
    found = [member for member in await members.list_members(session, there) if member.id == user_id]
    [shown] = await _render_members(session, there, found)
    return shown


async def delete_membership(project_id: str, row_id: str, session: Session, principal: ProjectWriter) -> Response:
    """Refused."""
    there = await reach(session, principal, read_id(project_id))
    member_id = read_id(row_id)
    if all(member.id != member_id for member in await members.list_members(session, there)):
        raise PathNotFoundError
    raise MembershipRemovalError


def _tools(request: Request) -> AccountTools:
    return state_of(request).accounts


async def _begin(session: AsyncSession, tools: AccountTools, account: Account) -> TokenPair:
    [project_id] = account.project_ids
    return await tokens.begin(session, tools.signer, user_id=account.user_id, project_id=project_id)


def _render(pair: TokenPair) -> Tokens:
    return Tokens.model_construct(access=pair.access, refresh=pair.refresh)


async def _render_members(session: AsyncSession, there: Principal, found: list[Member]) -> list[Membership]:
    users = await list_users(session, there, [member.id for member in found])
    return [
        Membership.model_construct(
            id=member.id,
            project=there.project_id,
            user=users[member.id].number,
            user_email=member.email or "",
            created_at=member.joined_at,
            updated_at=member.joined_at,
        )
        for member in found
    ]


def _publish() -> None:
    signing.add(
        "POST",
        "/auth/register/",
        register,
        name="auth_register",
        status_code=201,
        body=RegistrationInput,
        gives=Registration,
    )
    signing.add("POST", "/auth/token/", sign_in, name="auth_token_create", body=SignInInput, gives=Tokens)
    signing.add("POST", "/auth/token/refresh/", refresh, name="auth_token_refresh", body=RefreshInput, gives=Tokens)
    path = "/projects/{project_id}/memberships/"
    memberships.add(
        "GET", path, list_memberships, name="memberships_list", gives=Page[Membership], filters=MEMBERSHIP_FILTERS
    )
    memberships.add(
        "POST",
        path,
        create_membership,
        name="memberships_create",
        status_code=201,
        body=MembershipInput,
        gives=Membership,
    )
    memberships.add("DELETE", f"{path}{{row_id}}/", delete_membership, name="memberships_destroy", status_code=204)


_publish()
