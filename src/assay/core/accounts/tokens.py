"""Tokens of local accounts for API clients (O§1.1): signed JSON Web Tokens (RFC 7519) that stand for a session.

Each request looks its session and person up anew, so a new password, a lowered role or a deactivated person is felt at
once, as with the sessions of browsers. A refresh token works once. One that comes again was copied, so it ends the
session (RFC 9700, section 4.14.2).
"""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.accounts.models import SessionRow
from assay.core.accounts.types import TokenPair
from assay.core.projects import members
from assay.core.projects.errors import InvalidCredentialsError, ProjectNotFoundError
from assay.core.projects.types import Principal
from assay.kit.clock import utc_now
from assay.kit.errors import UnavailableError

ACCESS_LIFETIME = timedelta(days=1)
REFRESH_LIFETIME = timedelta(days=7)
_ALGORITHM = "HS256"


class _Use(StrEnum):
    ACCESS = "access"
    REFRESH = "refresh"


class _Claims(NamedTuple):
    session_id: UUID
    number: str
    """Of a refresh token: which one it is."""


class TokenSigner:
    """Signs tokens, and reads those that it signed.

    Args:
        key: 32 bytes; None where the installation has no secret key, which refuses every use.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    def sign(self, session_id: UUID, number: str) -> TokenPair:
        """Both tokens of a session.

        Raises:
            UnavailableError: There is no key.
        """
        return TokenPair(
            self._sign(_Use.ACCESS, ACCESS_LIFETIME, sid=session_id.hex),
            self._sign(_Use.REFRESH, REFRESH_LIFETIME, sid=session_id.hex, jti=number),
        )

    def read_access(self, token: str) -> UUID:
        """The session of an access token.

        Raises:
            InvalidCredentialsError: It is none of ours, is altered, or has expired.
            UnavailableError: There is no key.
        """
        return self._read(_Use.ACCESS, token).session_id

    def read_refresh(self, token: str) -> tuple[UUID, str]:
        """The session of a refresh token, and the token's number.

        Raises:
            InvalidCredentialsError, UnavailableError: As ``read_access``.
        """
        return self._read(_Use.REFRESH, token)

    def _sign(self, use: _Use, lifetime: timedelta, **claims: str) -> str:
        # Imported when somebody signs in with a password: most clients have a key, and it takes 0.2 s.
        import jwt

        now = utc_now()
        return jwt.encode({**claims, "aud": use.value, "iat": now, "exp": now + lifetime}, self._required(), _ALGORITHM)

    def _read(self, use: _Use, token: str) -> _Claims:
        import jwt

        key = self._required()
        options: Any = {"require": ["exp", "aud", "sid"]}
        try:
            claims = jwt.decode(token, key, algorithms=[_ALGORITHM], audience=use.value, options=options)
            return _Claims(UUID(str(claims["sid"])), str(claims.get("jti", "")))
        except (jwt.InvalidTokenError, ValueError):
            raise InvalidCredentialsError from None

    def _required(self) -> bytes:
        if self._key is None:
            raise UnavailableError("This server has no ASSAY_SECRET_KEY, so it cannot sign tokens. Use an API key.")
        return self._key


async def begin(session: AsyncSession, signer: TokenSigner, *, user_id: UUID, project_id: UUID) -> TokenPair:
    """Begin a session of an account whose password was checked."""
    number = secrets.token_urlsafe(32)
    now = utc_now()
    row = SessionRow(
        digest=_digest(number),
        user_id=user_id,
        project_id=project_id,
        key_id=None,
        last_seen_at=now,
        expires_at=now + REFRESH_LIFETIME,
    )
    session.add(row)
    await session.flush()
    return signer.sign(row.id, number)


async def renew(session: AsyncSession, signer: TokenSigner, refresh: str) -> TokenPair | None:
    """New tokens for a refresh token, which works no more; None if it does not work. Commit either way.

    Raises:
        InvalidCredentialsError: It is no refresh token of ours, or has expired.
    """
    session_id, number = signer.read_refresh(refresh)
    now = utc_now()
    query = select(SessionRow).where(SessionRow.id == session_id, SessionRow.expires_at > now).with_for_update()
    row = await session.scalar(query)
    if row is None:
        return None
    if not hmac.compare_digest(row.digest, _digest(number)):
        await session.delete(row)
        return None
    following = secrets.token_urlsafe(32)
    row.digest, row.last_seen_at, row.expires_at = _digest(following), now, now + REFRESH_LIFETIME
    await session.flush()
    return signer.sign(row.id, following)


async def authenticate(
    session: AsyncSession, signer: TokenSigner, access: str, *, project_id: UUID | None = None
) -> Principal:
    """Who an access token stands for.

    Args:
        session: Where to read.
        signer: Knows our tokens.
        access: The token.
        project_id: Another project of theirs; None for the one they signed in to.

    Raises:
        InvalidCredentialsError: The token does not work, or its session or person has gone.
        ProjectNotFoundError: The named project is none of theirs.
    """
    session_id = signer.read_access(access)
    row = await session.scalar(select(SessionRow).where(SessionRow.id == session_id, SessionRow.expires_at > utc_now()))
    if row is None:
        raise InvalidCredentialsError
    own = await members.principal_of_member(session, user_id=row.user_id, project_id=row.project_id)
    return own if project_id is None else await in_project(session, own, project_id)


async def in_project(session: AsyncSession, person: Principal, project_id: UUID) -> Principal:
    """The same person in another project.

    Raises:
        ProjectNotFoundError: It is none of theirs.
    """
    if person.user_id is None or person.key_id is not None:
        raise ProjectNotFoundError
    try:
        return await members.principal_of_member(session, user_id=person.user_id, project_id=project_id)
    except InvalidCredentialsError:
        raise ProjectNotFoundError from None


def _digest(number: str) -> bytes:
    # Named, so that a token's number is never taken for what a browser's cookie holds.
    return sha256(b"refresh " + number.encode()).digest()
