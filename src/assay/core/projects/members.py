"""People of an organization: who they are, what they may do, and who calls when one of them does.

A key acts within its project and its scopes. A person who signed in acts in any project of their organization, with
every scope that their role allows.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects import repository
from assay.core.projects.errors import (
    InvalidCredentialsError,
    InvalidEmailError,
    InvalidNameError,
    LastOwnerError,
    MemberExistsError,
    UserNotFoundError,
)
from assay.core.projects.models import MembershipRow, OrganizationRow, ProjectRow, UserRow
from assay.core.projects.profiles import describe_project
from assay.core.projects.types import Member, Principal, Project, Role, Scope
from assay.kit.clock import utc_now

MAX_NAME_LENGTH = 255
MAX_EMAIL_LENGTH = 254


async def principal_of_member(session: AsyncSession, *, user_id: UUID, project_id: UUID) -> Principal:
    """The caller when a person acts for themself, without a key.

    Raises:
        InvalidCredentialsError: They are no active member of the project's organization, or the project is gone.
    """
    found = (
        await session.execute(
            select(ProjectRow.organization_id, MembershipRow.role)
            .join(MembershipRow, MembershipRow.organization_id == ProjectRow.organization_id)
            .join(UserRow, UserRow.id == MembershipRow.user_id)
            .where(
                ProjectRow.id == project_id,
                ProjectRow.deleted_at.is_(None),
                UserRow.id == user_id,
                UserRow.deactivated_at.is_(None),
            )
        )
    ).one_or_none()
    if found is None:
        raise InvalidCredentialsError
    return Principal(
        organization_id=found[0],
        project_id=project_id,
        user_id=user_id,
        role=Role(found[1]),
        scopes=frozenset({Scope.ALL}),
        key_id=None,
    )


async def principal_of_key(session: AsyncSession, key_id: UUID) -> Principal:
    """The caller when a key that was shown once before is used again.

    Raises:
        InvalidCredentialsError: The key has expired or was revoked, or its user has left.
    """
    owner = await repository.find_key_owner(session, repository.with_id(key_id), now=utc_now())
    if owner is None:
        raise InvalidCredentialsError
    return owner.principal()


async def list_projects_of(session: AsyncSession, user_id: UUID) -> tuple[Project, ...]:
    """The projects of all organizations that a person is an active member of, oldest first."""
    rows = await session.scalars(
        select(ProjectRow)
        .join(MembershipRow, MembershipRow.organization_id == ProjectRow.organization_id)
        .join(UserRow, UserRow.id == MembershipRow.user_id)
        .where(MembershipRow.user_id == user_id, ProjectRow.deleted_at.is_(None), UserRow.deactivated_at.is_(None))
        .order_by(ProjectRow.number)
    )
    return tuple(describe_project(row) for row in rows)


async def list_members(session: AsyncSession, principal: Principal) -> tuple[Member, ...]:
    """Everybody of the caller's organization, oldest first, those who left too.

    Raises:
        MissingScopeError: The caller lacks ``project:read``.
        MissingRoleError: The call is made for an end user.
    """
    principal.require(Scope.PROJECT_READ)
    principal.require_role(Role.VIEWER)
    found = await session.execute(
        select(UserRow, MembershipRow)
        .join(MembershipRow, MembershipRow.user_id == UserRow.id)
        .where(MembershipRow.organization_id == principal.organization_id)
        .order_by(MembershipRow.created_at, UserRow.id)
    )
    return tuple(_describe(user, membership) for user, membership in found)


async def add_member(session: AsyncSession, principal: Principal, *, name: str, email: str, role: Role) -> Member:
    """Add a person to the caller's organization.

    Raises:
        MissingScopeError: The caller lacks ``project:write``.
        MissingRoleError: The caller is no admin, or the role is above their own.
        InvalidNameError, InvalidEmailError: Of a form that cannot be stored or told apart.
        MemberExistsError: Somebody has this address already.
    """
    principal.require(Scope.PROJECT_WRITE)
    principal.require_role(Role.ADMIN)
    principal.require_role(role)
    if not 1 <= len(name.strip()) <= MAX_NAME_LENGTH or "\0" in name:
        raise InvalidNameError("name", max_length=MAX_NAME_LENGTH)
    address = check_email(email)
    await refuse_taken(session, address)
    user = UserRow(name=name.strip(), email=address)
    session.add(user)
    await session.flush()
    membership = MembershipRow(organization_id=principal.organization_id, user_id=user.id, role=role)
    session.add(membership)
    await session.flush()
    return _describe(user, membership)


async def change_role(session: AsyncSession, principal: Principal, *, user_id: UUID, role: Role) -> Member:
    """Give a member another role, felt with their next request.

    Raises:
        MissingScopeError, MissingRoleError: The caller is no admin, or below the old or the new role.
        UserNotFoundError: No such member.
        LastOwnerError: The organization would be left without an owner.
    """
    user, membership = await _lock_member(session, principal, user_id)
    principal.require_role(role)
    if membership.role == Role.OWNER and role is not Role.OWNER:
        await _refuse_last_owner(session, principal.organization_id)
    membership.role = role
    await session.flush()
    return _describe(user, membership)


async def deactivate_member(session: AsyncSession, principal: Principal, *, user_id: UUID) -> Member:
    """Shut a member out: neither their keys nor their sessions work any more. What they made stays.

    Raises:
        MissingScopeError, MissingRoleError: The caller is no admin, or below the member's role.
        UserNotFoundError: No such member.
        LastOwnerError: The organization would be left without an owner.
    """
    user, membership = await _lock_member(session, principal, user_id)
    if membership.role == Role.OWNER:
        await _refuse_last_owner(session, principal.organization_id)
    user.deactivated_at = user.deactivated_at or utc_now()
    await session.flush()
    return _describe(user, membership)


async def set_email(session: AsyncSession, *, user_id: UUID, email: str) -> None:
    """Give a person the address by which they sign in.

    Raises:
        InvalidEmailError: It is no address.
        MemberExistsError: Somebody else has it.
    """
    address = check_email(email)
    await refuse_taken(session, address, but=user_id)
    user = await session.get_one(UserRow, user_id)
    user.email = address
    await session.flush()


async def find_user_by_email(session: AsyncSession, email: str) -> UUID | None:
    """The active person with this address."""
    query = select(UserRow.id).where(UserRow.email == email.strip().lower(), UserRow.deactivated_at.is_(None))
    return await session.scalar(query)


async def organization_name(session: AsyncSession, principal: Principal) -> str:
    """What the caller's organization is called."""
    query = select(OrganizationRow.name).where(OrganizationRow.id == principal.organization_id)
    return (await session.execute(query)).scalar_one()


def check_email(email: str) -> str:
    """An address as it is stored: lower case, without spaces around it.

    Raises:
        InvalidEmailError: It is none.
    """
    address = email.strip().lower()
    name, at, host = address.partition("@")
    if not (name and at and "." in host) or len(address) > MAX_EMAIL_LENGTH or not address.isprintable():
        raise InvalidEmailError
    return address


async def refuse_taken(session: AsyncSession, address: str, *, but: UUID | None = None) -> None:
    """See that nobody else has this address.

    Raises:
        MemberExistsError: Somebody has.
    """
    found = await session.scalar(select(UserRow.id).where(UserRow.email == address))
    if found is not None and found != but:
        raise MemberExistsError


async def _lock_member(session: AsyncSession, principal: Principal, user_id: UUID) -> tuple[UserRow, MembershipRow]:
    principal.require(Scope.PROJECT_WRITE)
    principal.require_role(Role.ADMIN)
    found = (
        await session.execute(
            select(UserRow, MembershipRow)
            .join(MembershipRow, MembershipRow.user_id == UserRow.id)
            .where(UserRow.id == user_id, MembershipRow.organization_id == principal.organization_id)
            .with_for_update()
        )
    ).one_or_none()
    if found is None:
        raise UserNotFoundError
    principal.require_role(Role(found[1].role))
    return found[0], found[1]


async def _refuse_last_owner(session: AsyncSession, organization_id: UUID) -> None:
    # Locked, so that two owners cannot each leave because the other is still there.
    owners = await session.scalars(
        select(UserRow.id)
        .join(MembershipRow, MembershipRow.user_id == UserRow.id)
        .where(
            MembershipRow.organization_id == organization_id,
            MembershipRow.role == Role.OWNER,
            UserRow.deactivated_at.is_(None),
        )
        .order_by(UserRow.id)
        .with_for_update()
    )
    if len(owners.all()) <= 1:
        raise LastOwnerError


def _describe(user: UserRow, membership: MembershipRow) -> Member:
    return Member(
        id=user.id,
        name=user.name,
        email=user.email,
        role=Role(membership.role),
        joined_at=membership.created_at,
        deactivated_at=user.deactivated_at,
    )
