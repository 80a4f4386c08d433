"""Signing in and out, and who a session stands for.

A session is known by a random text in a cookie, of which only the digest is stored. Every request looks its person or
key up anew, so a revoked key, a lowered role or a deactivated person is felt at once.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.accounts.errors import KeySessionError, NoSessionError, WeakPasswordError, WrongPasswordError
from assay.core.accounts.models import PasswordRow, SessionRow
from assay.core.accounts.passwords import MAX_LENGTH, MIN_LENGTH, hash_password, matches
from assay.core.accounts.types import Account, NewSession, Refusal, Visitor
from assay.core.projects import members
from assay.core.projects.errors import InvalidCredentialsError, ProjectNotFoundError
from assay.core.projects.service import authenticate, create_organization, get_user
from assay.core.projects.types import Member, Principal, Project, Role
from assay.kit.clock import utc_now

SESSION_LIFETIME = timedelta(days=14)
"""Of a session that nobody uses; each visit begins it anew."""
_SEEN_PRECISION = timedelta(minutes=5)
FREE_FAILURES = 5
"""Wrong passwords in a row that cost nothing but the next try."""
MAX_LOCK = timedelta(minutes=15)


async def sign_in_with_key(session: AsyncSession, token: str) -> NewSession:
    """Begin a session that may do what the key may.

    Raises:
        InvalidCredentialsError: The key does not work.
    """
    principal = await authenticate(session, token)
    if principal.user_id is None or principal.key_id is None:
        raise InvalidCredentialsError
    return await _begin(session, user_id=principal.user_id, project_id=principal.project_id, key_id=principal.key_id)


async def sign_in_with_password(session: AsyncSession, *, email: str, password: str) -> NewSession | Refusal:
    """Begin a session of a local account, in its first project. The transaction must commit either way."""
    found = await check_account(session, email=email, password=password)
    if isinstance(found, Refusal):
        return found
    return await _begin(session, user_id=found.user_id, project_id=found.project_ids[0], key_id=None)


async def check_account(session: AsyncSession, *, email: str, password: str) -> Account | Refusal:
    """The active account with this password. The transaction must commit either way.

    A refusal counts: after ``FREE_FAILURES`` in a row each further one locks the account for twice as long, from a
    second up to ``MAX_LOCK``.
    """
    user_id = await members.find_user_by_email(session, email)
    stored = None
    if user_id is not None:
        stored = await session.scalar(select(PasswordRow).where(PasswordRow.user_id == user_id).with_for_update())
    now = utc_now()
    if stored is not None and stored.locked_until is not None and stored.locked_until > now:
        return Refusal.LOCKED
    fits = await matches(None if stored is None else stored.hash, password)
    if stored is None or not fits:
        if stored is not None:
            _note_failure(stored, now)
        return Refusal.WRONG
    stored.failures, stored.locked_until = 0, None
    projects = await members.list_projects_of(session, stored.user_id)
    if not projects:
        return Refusal.WRONG
    return Account(stored.user_id, tuple(project.id for project in projects))


async def find_visitor(session: AsyncSession, token: str) -> Visitor:
    """Who a cookie stands for.

    Raises:
        NoSessionError: Nobody: it has ended, or its key or person may not come in any more.
    """
    now = utc_now()
    query = select(SessionRow).where(SessionRow.digest == _digest(token), SessionRow.expires_at > now)
    row = await session.scalar(query)
    if row is None:
        raise NoSessionError
    try:
        principal = await (
            members.principal_of_member(session, user_id=row.user_id, project_id=row.project_id)
            if row.key_id is None
            else members.principal_of_key(session, row.key_id)
        )
    except InvalidCredentialsError:
        raise NoSessionError from None
    user = await get_user(session, principal, user_id=row.user_id)
    if now - row.last_seen_at > _SEEN_PRECISION:
        row.last_seen_at, row.expires_at = now, now + SESSION_LIFETIME
    return Visitor(row.id, principal, row.user_id, user.name, user.email, by_key=row.key_id is not None)


async def list_visible_projects(session: AsyncSession, visitor: Visitor) -> tuple[Project, ...]:
    """The projects that a visitor may switch to: a key's own, or all of a person's organizations."""
    projects = await members.list_projects_of(session, visitor.user_id)
    return tuple(one for one in projects if not visitor.by_key or one.id == visitor.principal.project_id)


async def switch_project(session: AsyncSession, visitor: Visitor, project_id: UUID) -> None:
    """Show another project from the next request on.

    Raises:
        KeySessionError: The visitor came in with a key.
        ProjectNotFoundError: It is none of theirs.
    """
    if visitor.by_key:
        raise KeySessionError
    try:
        await members.principal_of_member(session, user_id=visitor.user_id, project_id=project_id)
    except InvalidCredentialsError:
        raise ProjectNotFoundError from None
    await session.execute(update(SessionRow).where(SessionRow.id == visitor.session_id).values(project_id=project_id))


async def sign_out(session: AsyncSession, token: str) -> None:
    """End a session; one that is not there is ended already."""
    await session.execute(delete(SessionRow).where(SessionRow.digest == _digest(token)))


async def forget_ended(session: AsyncSession) -> None:
    """Drop sessions past their time."""
    await session.execute(delete(SessionRow).where(SessionRow.expires_at < utc_now()))


async def has_password(session: AsyncSession, user_id: UUID) -> bool:
    """Whether a person can sign in by e-mail."""
    return await session.scalar(select(PasswordRow.user_id).where(PasswordRow.user_id == user_id)) is not None


async def who_has_passwords(session: AsyncSession, principal: Principal) -> set[UUID]:
    """Those of the caller's organization who can sign in by e-mail."""
    ids = [member.id for member in await members.list_members(session, principal)]
    return set(await session.scalars(select(PasswordRow.user_id).where(PasswordRow.user_id.in_(ids))))


async def set_own_password(
    session: AsyncSession, visitor: Visitor, *, email: str, password: str, current: str | None
) -> None:
    """Give oneself an address and a password, and end all one's other sessions that began with one.

    Args:
        session: Where to write.
        visitor: Who asks.
        email: By which to sign in from now on.
        password: The new one.
        current: The present one; needed if there is one.

    Raises:
        WrongPasswordError: ``current`` is not the present password.
        WeakPasswordError, InvalidEmailError, MemberExistsError: As they say.
    """
    stored = await session.get(PasswordRow, visitor.user_id)
    if stored is not None and not await matches(stored.hash, current or ""):
        raise WrongPasswordError
    await members.set_email(session, user_id=visitor.user_id, email=email)
    await _store_password(session, visitor.user_id, password)
    others = [SessionRow.user_id == visitor.user_id, SessionRow.key_id.is_(None), SessionRow.id != visitor.session_id]
    await session.execute(delete(SessionRow).where(*others))


async def add_account(
    session: AsyncSession, principal: Principal, *, name: str, email: str, role: Role, password: str
) -> Member:
    """Add a person who can sign in to the caller's organization.

    Raises:
        MissingScopeError, MissingRoleError: The caller is no admin, or below the role.
        InvalidNameError, InvalidEmailError, MemberExistsError, WeakPasswordError: As they say.
    """
    _check_password(password)
    member = await members.add_member(session, principal, name=name, email=email, role=role)
    await _store_password(session, member.id, password)
    return member


async def register(session: AsyncSession, *, email: str, password: str) -> Account:
    """Add a person with an organization and a project of their own.

    Raises:
        WeakPasswordError, InvalidEmailError, MemberExistsError: As they say.
    """
    _check_password(password)
    address = members.check_email(email)
    await members.refuse_taken(session, address)
    name = address.partition("@")[0]
    made = await create_organization(session, name=name, owner_name=name, owner_email=address, with_key=False)
    user_id = await members.find_user_by_email(session, address)
    assert user_id is not None
    await _store_password(session, user_id, password)
    return Account(user_id, (made.project_id,))


def csrf_token(token: str) -> str:
    """What forms of a session must bring along; whoever does not know the cookie cannot tell it."""
    return hmac.new(token.encode(), b"assay csrf", sha256).hexdigest()


async def _begin(session: AsyncSession, *, user_id: UUID, project_id: UUID, key_id: UUID | None) -> NewSession:
    await forget_ended(session)
    now = utc_now()
    token = secrets.token_urlsafe(32)
    expires_at = now + SESSION_LIFETIME
    session.add(
        SessionRow(
            digest=_digest(token),
            user_id=user_id,
            project_id=project_id,
            key_id=key_id,
            last_seen_at=now,
            expires_at=expires_at,
        )
    )
    await session.flush()
    return NewSession(token, expires_at)


def _note_failure(stored: PasswordRow, now: datetime) -> None:
    stored.failures += 1
    over = stored.failures - FREE_FAILURES
    if over > 0:
        stored.locked_until = now + min(MAX_LOCK, timedelta(seconds=2 ** min(over, 20)))


async def _store_password(session: AsyncSession, user_id: UUID, password: str) -> None:
    _check_password(password)
    hashed = await hash_password(password)
    await session.merge(PasswordRow(user_id=user_id, hash=hashed, failures=0, locked_until=None, changed_at=utc_now()))
    await session.flush()


def _check_password(password: str) -> None:
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise WeakPasswordError(MIN_LENGTH, MAX_LENGTH)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
