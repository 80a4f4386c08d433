"""Use cases of projects, users and keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects import repository
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
from assay.core.projects.profiles import describe_project
from assay.core.projects.tokens import DISPLAY_LENGTH, KEY_PREFIX, digest_token, generate_capture_token, generate_key
from assay.core.projects.types import ApiKey, Credentials, IssuedApiKey, Principal, Project, Role, Scope, User
from assay.kit.clock import utc_now

MIN_PRESET_KEY_LENGTH = 20
MAX_NAME_LENGTH = 255
LAST_USED_PRECISION_SECONDS = 60.0

_ALL = frozenset({Scope.ALL})


async def authenticate(session: AsyncSession, token: str) -> Principal:
    """The principal of an API key, read from the database.

    Requests go through ``Authenticator``, which remembers the answer for a moment.

    Raises:
        InvalidCredentialsError: The key is unknown, expired or revoked, or its user is no longer an active member.
    """
    now = utc_now()
    owner = await repository.find_key_owner(session, repository.with_digest(digest_token(token)), now=now)
    if owner is None:
        raise InvalidCredentialsError
    key = owner.key
    if key.last_used_at is None or (now - key.last_used_at).total_seconds() >= LAST_USED_PRECISION_SECONDS:
        await repository.touch_key(session, key.id, now=now)
    return owner.principal()


async def authenticate_capture(session: AsyncSession, token: str) -> Principal:
    """The principal of a project's public capture token, which may send events and nothing else.

    Raises:
        InvalidCredentialsError: No project has this token.
    """
    well_formed = token.isascii() and token.isprintable()
    project = await repository.find_project_by_capture_token(session, token) if well_formed else None
    if project is None:
        raise InvalidCredentialsError
    return Principal(
        organization_id=project.organization_id,
        project_id=project.id,
        user_id=None,
        role=Role.EDITOR,
        scopes=frozenset({Scope.EVENT_CAPTURE}),
        key_id=None,
    )


async def bootstrap(session: AsyncSession, *, api_key: str | None = None) -> Credentials:
    """Make the first organization, project, user and key, each only if it is missing.

    Safe to call at every start and from several processes at once.

    Args:
        session: A session inside a transaction.
        api_key: Preset for the key, at least 20 characters; added to the first project if it is not known yet.

    Returns:
        The first project, with the preset key, or the key made just now, or None for a key that was made before.

    Raises:
        PresetKeyTooShortError: The preset is too short or has spaces.
        PresetKeyRevokedError: The preset was revoked or has expired.
    """
    if api_key is not None and (len(api_key) < MIN_PRESET_KEY_LENGTH or any(c.isspace() for c in api_key)):
        raise PresetKeyTooShortError(MIN_PRESET_KEY_LENGTH)
    await repository.lock_bootstrap(session)
    project = await repository.find_first_project(session)
    if project is None:
        return await create_organization(session, name="Default", api_key=api_key)
    if api_key is not None:
        await _add_preset_key(session, project, api_key=api_key)
    elif not await repository.has_keys(session, project.id):
        owner = await _get_owner(session, project.organization_id)
        api_key = await _add_full_key(session, project, user_id=owner.id, name="Default")
    return _credentials(project, api_key)


async def create_organization(
    session: AsyncSession,
    *,
    name: str,
    project_name: str = "Default",
    owner_name: str = "Owner",
    owner_email: str | None = None,
    api_key: str | None = None,
    with_key: bool = True,
) -> Credentials:
    """Make an organization with one project, an owner, and a key that may do everything in the project.

    For operators, and for people who register: no caller belongs to an organization that does not exist yet.

    Args:
        session: A session inside a transaction.
        name: Of the organization.
        project_name: Of its first project.
        owner_name: Of its owner.
        owner_email: By which the owner signs in.
        api_key: Preset for the key.
        with_key: Whether to make a key; an owner with a password needs none.

    Raises:
        InvalidNameError: A name is blank, too long or holds NUL.
    """
    organization = OrganizationRow(name=_check_name(name, param="name"))
    owner = UserRow(name=_check_name(owner_name, param="owner_name"), email=owner_email)
    session.add_all([organization, owner])
    await session.flush()
    session.add(MembershipRow(organization_id=organization.id, user_id=owner.id, role=Role.OWNER))
    project = await _add_project(session, organization.id, name=project_name)
    if not with_key:
        return _credentials(project, None)
    token = await _add_full_key(session, project, user_id=owner.id, name="Default", token=api_key)
    return _credentials(project, token)


async def get_operator(session: AsyncSession, *, project: UUID | int | None = None) -> Principal:
    """The principal of somebody who already has the database: an owner of the project, with every scope.

    Args:
        session: Where to read.
        project: Id or number; None for the first project.

    Raises:
        ProjectNotFoundError: There is no such project.
    """
    row = await (
        repository.find_first_project(session) if project is None else repository.find_project(session, project)
    )
    if row is None:
        raise ProjectNotFoundError
    owner = await _get_owner(session, row.organization_id)
    return Principal(
        organization_id=row.organization_id,
        project_id=row.id,
        user_id=owner.id,
        role=Role.OWNER,
        scopes=_ALL,
        key_id=None,
        may_delegate=True,
    )


async def create_project(session: AsyncSession, principal: Principal, *, name: str) -> Project:
    """Add a project to the caller's organization.

    Raises:
        MissingScopeError: The key lacks ``project:write``.
        MissingRoleError: The caller is no admin of the organization, or acts for an end user.
        InvalidNameError: The name is blank, too long or holds NUL.
    """
    principal.require(Scope.PROJECT_WRITE)
    principal.require_role(Role.ADMIN)
    return describe_project(await _add_project(session, principal.organization_id, name=name))


async def list_projects(session: AsyncSession, principal: Principal) -> tuple[Project, ...]:
    """The projects of the organization for its admins; for others the key's own project."""
    principal.require(Scope.PROJECT_READ)
    rows = await repository.list_projects(session, principal.organization_id)
    sees_all = principal.role.covers(Role.ADMIN) and not principal.is_delegated
    return tuple(describe_project(row) for row in rows if sees_all or row.id == principal.project_id)


async def get_project(session: AsyncSession, principal: Principal, *, project: UUID | int | None = None) -> Project:
    """The caller's project, checked against the one a path names.

    Needs no scope: a project's name and number come with every key.

    Args:
        session: Where to read.
        principal: The caller.
        project: Id or number from the path; None for the caller's own.

    Raises:
        ProjectNotFoundError: There is no such project.
        ProjectForbiddenError: It exists, and the caller's key belongs to another. Projects are numbered, so that
            one exists is no secret.
    """
    row = await repository.find_project(session, principal.project_id if project is None else project)
    if row is None:
        raise ProjectNotFoundError
    if row.id != principal.project_id:
        raise ProjectForbiddenError
    return describe_project(row)


async def find_organization(session: AsyncSession, project_id: UUID) -> UUID:
    """The organization of a project that is known to exist."""
    return await repository.find_organization(session, project_id)


async def get_user(session: AsyncSession, principal: Principal, *, user_id: UUID) -> User:
    """A user of the caller's organization, for example the one who created an object.

    Raises:
        UserNotFoundError: No such user in the organization.
    """
    member = await repository.find_member(session, user_id, organization_id=principal.organization_id)
    if member is None:
        raise UserNotFoundError
    return _user(member)


async def list_users(session: AsyncSession, principal: Principal, user_ids: Iterable[UUID]) -> dict[UUID, User]:
    """Users of the caller's organization by id; those who are not of it are left out."""
    wanted = sorted(set(user_ids))
    members = await repository.list_members(session, wanted, organization_id=principal.organization_id)
    return {member.user.id: _user(member) for member in members}


async def find_user_by_number(session: AsyncSession, principal: Principal, number: int) -> User | None:
    """A user of the caller's organization by number."""
    member = await repository.find_member_by_number(session, number, organization_id=principal.organization_id)
    return None if member is None else _user(member)


async def get_owner(session: AsyncSession, principal: Principal) -> User:
    """The longest-standing owner of the caller's organization, who stands in for who has left.

    Raises:
        MissingRoleError: The organization has no owner.
    """
    owner = await _get_owner(session, principal.organization_id)
    return _user(repository.Member(owner, Role.OWNER.value))


async def create_api_key(
    session: AsyncSession,
    principal: Principal,
    *,
    name: str,
    scopes: Iterable[str],
    may_delegate: bool = False,
    expires_at: datetime | None = None,
    prefix: str = KEY_PREFIX,
) -> IssuedApiKey:
    """Make a key for the caller's project and user.

    A key never grants more than the key that made it: neither a scope it lacks, nor delegation, nor, when the
    call is made for an end user, the sight of everybody else's objects.

    Raises:
        MissingScopeError: The caller lacks ``api_key:write`` or a scope that the new key would have.
        MissingRoleError: The caller is a viewer, or acts for an end user.
        DelegationForbiddenError: Delegation is asked for with a key that has none.
        UnknownScopeError: A scope does not exist.
        InvalidNameError: The name is blank, too long or holds NUL.
        InvalidExpiryError: The key would be expired already.
    """
    principal.require(Scope.API_KEY_WRITE)
    principal.require_role(Role.EDITOR)
    wanted = frozenset(parse_scope(scope) for scope in scopes)
    _refuse_escalation(principal, wanted, may_delegate=may_delegate)
    if expires_at is not None and expires_at <= utc_now():
        raise InvalidExpiryError
    if principal.user_id is None:  # a key needs somebody whose role bounds it
        raise MissingRoleError(Role.EDITOR)
    token = generate_key(prefix)
    row = await _add_key(
        session,
        project_id=principal.project_id,
        user_id=principal.user_id,
        name=_check_name(name, param="name"),
        token=token,
        scopes=wanted,
        may_delegate=may_delegate,
        expires_at=expires_at,
    )
    return IssuedApiKey(api_key=_api_key(row), token=token)


async def list_api_keys(session: AsyncSession, principal: Principal) -> tuple[ApiKey, ...]:
    """All keys of the caller's project, newest first, revoked ones too.

    Raises:
        MissingScopeError: The caller lacks ``api_key:read``.
        MissingRoleError: The caller acts for an end user.
    """
    principal.require(Scope.API_KEY_READ)
    principal.require_role(Role.VIEWER)
    return tuple(_api_key(row) for row in await repository.list_keys(session, principal.project_id))


async def revoke_api_key(session: AsyncSession, principal: Principal, *, key_id: UUID) -> ApiKey:
    """Revoke a key of the caller's project, felt within seconds everywhere. Revoking twice is harmless.

    Raises:
        MissingScopeError: The caller lacks ``api_key:write``.
        MissingRoleError: The key is another user's and the caller is no admin, or the caller acts for an end user.
        ApiKeyNotFoundError: The project has no such key.
    """
    principal.require(Scope.API_KEY_WRITE)
    principal.require_role(Role.EDITOR)
    row = await repository.lock_key(session, key_id, project_id=principal.project_id)
    if row is None:
        raise ApiKeyNotFoundError
    if row.user_id != principal.user_id:
        principal.require_role(Role.ADMIN)
    if row.revoked_at is None:
        row.revoked_at = utc_now()
        await session.flush()
    return _api_key(row)


def parse_scope(text: str) -> Scope:
    """The scope of this name.

    Raises:
        UnknownScopeError: There is none.
    """
    try:
        return Scope(text)
    except ValueError:
        raise UnknownScopeError(text, known=[scope.value for scope in Scope]) from None


def _refuse_escalation(principal: Principal, wanted: frozenset[Scope], *, may_delegate: bool) -> None:
    for scope in sorted(wanted):
        if principal.scopes.isdisjoint(scope.granting):
            raise MissingScopeError(scope.value)
    if may_delegate and not principal.may_delegate:
        raise DelegationForbiddenError


async def _add_preset_key(session: AsyncSession, project: ProjectRow, *, api_key: str) -> None:
    known = await repository.find_key_by_digest(session, digest_token(api_key))
    if known is None:
        owner = await _get_owner(session, project.organization_id)
        await _add_full_key(session, project, user_id=owner.id, name="Preset", token=api_key)
    elif known.revoked_at is not None or (known.expires_at is not None and known.expires_at <= utc_now()):
        raise PresetKeyRevokedError


async def _add_full_key(
    session: AsyncSession, project: ProjectRow, *, user_id: UUID, name: str, token: str | None = None
) -> str:
    token = token or generate_key()
    await _add_key(
        session,
        project_id=project.id,
        user_id=user_id,
        name=name,
        token=token,
        scopes=_ALL,
        may_delegate=True,
        expires_at=None,
    )
    return token


async def _add_key(
    session: AsyncSession,
    *,
    project_id: UUID,
    user_id: UUID,
    name: str,
    token: str,
    scopes: frozenset[Scope],
    may_delegate: bool,
    expires_at: datetime | None,
) -> ApiKeyRow:
    row = ApiKeyRow(
        project_id=project_id,
        user_id=user_id,
        name=name,
        digest=digest_token(token),
        prefix=token[:DISPLAY_LENGTH],
        scopes=sorted(scope.value for scope in scopes),
        may_delegate=may_delegate,
        expires_at=expires_at,
    )
    session.add(row)
    await session.flush()
    return row


async def _add_project(session: AsyncSession, organization_id: UUID, *, name: str) -> ProjectRow:
    row = ProjectRow(
        organization_id=organization_id,
        name=_check_name(name, param="name"),
        capture_token=generate_capture_token(),
    )
    session.add(row)
    await session.flush()
    return row


async def _get_owner(session: AsyncSession, organization_id: UUID) -> UserRow:
    owner = await repository.find_owner(session, organization_id)
    if owner is None:
        raise MissingRoleError(Role.OWNER)
    return owner


def _check_name(name: str, *, param: str) -> str:
    if name.strip() == "" or len(name) > MAX_NAME_LENGTH or "\0" in name:
        raise InvalidNameError(param, max_length=MAX_NAME_LENGTH)
    return name


def _credentials(project: ProjectRow, api_key: str | None) -> Credentials:
    return Credentials(
        organization_id=project.organization_id,
        project_id=project.id,
        project_number=project.number,
        capture_token=project.capture_token,
        api_key=api_key,
    )


def _user(member: repository.Member) -> User:
    user = member.user
    return User(id=user.id, number=user.number, name=user.name, email=user.email, role=Role(member.role))


def _api_key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        project_id=row.project_id,
        user_id=row.user_id,
        name=row.name,
        prefix=row.prefix,
        scopes=repository.stored_scopes(row),
        may_delegate=row.may_delegate,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
