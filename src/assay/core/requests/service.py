"""Remembering requests, so that a client that sends one again does not cause it twice (contract M§1.8, M§7 R5).

A request is known by a *digest*: of its ``Idempotency-Key`` when it has one, else of all that it says. ``claim``
inserts the digest in the transaction of the request's own effects. A copy that arrives meanwhile waits at the
unique key until that transaction ends, and then finds either the stored response, or, after a rollback, nothing.

With a key, the response is kept for a day. Without one it is kept only until it has been delivered, at most 30 seconds:
then an equal request is a new wish, not a repetition.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.requests.models import RememberedRequestRow
from assay.kit.clock import utc_now
from assay.kit.errors import ConflictError, InvalidError

KEYED_LIFETIME = timedelta(hours=24)
UNKEYED_LIFETIME = timedelta(seconds=30)
MAX_KEY_LENGTH = 255


class IdempotencyKeyError(InvalidError):
    """The ``Idempotency-Key`` header is empty or too long."""

    code = "invalid_idempotency_key"


class IdempotencyKeyReusedError(ConflictError):
    """The same key came with another body."""

    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """What makes two requests the same."""

    digest: bytes
    body_digest: bytes
    keyed: bool


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response to give again."""

    status_code: int
    content_type: str
    body: bytes


def identify(principal: Principal, *, method: str, target: str, body: bytes, key: str | None) -> RequestIdentity:
    """The identity of a request.

    Args:
        principal: The caller; requests of different callers are never the same.
        method: HTTP verb.
        target: Path with query.
        body: The whole body.
        key: The ``Idempotency-Key`` header, if any.

    Raises:
        IdempotencyKeyError: The key is empty or longer than 255 characters.
    """
    if key is not None and not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise IdempotencyKeyError(f"`Idempotency-Key` must have 1 to {MAX_KEY_LENGTH} characters.")
    body_digest = hashlib.sha256(body).digest()
    who = f"{principal.project_id}\n{principal.key_id or principal.user_id}\n{principal.on_behalf_of or ''}"
    caller = f"{who}\n{method}\n{target}\n"
    last = f"key\n{key}".encode() if key is not None else b"body\n" + body_digest
    return RequestIdentity(hashlib.sha256(caller.encode() + last).digest(), body_digest, keyed=key is not None)


async def claim(session: AsyncSession, principal: Principal, identity: RequestIdentity) -> bool:
    """Reserve a request for this transaction; waits while another transaction holds an equal one.

    Returns:
        False when an equal request was carried out already and ``recall`` has its response.
    """
    now = utc_now()
    values = {
        "digest": identity.digest,
        "project_id": principal.project_id,
        "body_digest": identity.body_digest,
        "expires_at": now + (KEYED_LIFETIME if identity.keyed else UNKEYED_LIFETIME),
    }
    statement = insert(RememberedRequestRow).values(values)
    expired = statement.on_conflict_do_update(
        index_elements=[RememberedRequestRow.digest],
        set_={**values, "status_code": None, "content_type": None, "body": None},
        where=RememberedRequestRow.expires_at < now,
    )
    claimed = await session.execute(expired.returning(RememberedRequestRow.digest))
    return claimed.scalar_one_or_none() is not None


async def recall(session: AsyncSession, identity: RequestIdentity) -> StoredResponse | None:
    """The response that an equal request was given, or None when it has been forgotten meanwhile.

    Raises:
        IdempotencyKeyReusedError: The key was used for another body.
    """
    row = await session.scalar(select(RememberedRequestRow).where(RememberedRequestRow.digest == identity.digest))
    if row is None or row.status_code is None or row.body is None:
        return None
    if row.body_digest != identity.body_digest:
        raise IdempotencyKeyReusedError("This `Idempotency-Key` was used for a request with another body.")
    return StoredResponse(row.status_code, row.content_type or "application/json", row.body)


async def remember(session: AsyncSession, identity: RequestIdentity, response: StoredResponse) -> None:
    """Store the response beside the claim, in the same transaction."""
    await session.execute(
        update(RememberedRequestRow)
        .where(RememberedRequestRow.digest == identity.digest)
        .values(status_code=response.status_code, content_type=response.content_type, body=response.body)
    )


async def forget(session: AsyncSession, identity: RequestIdentity) -> None:
    """The response arrived: an equal request is a new one from now on."""
    await session.execute(delete(RememberedRequestRow).where(RememberedRequestRow.digest == identity.digest))


async def forget_expired(session: AsyncSession) -> None:
    """Drop what is past its time."""
    await session.execute(delete(RememberedRequestRow).where(RememberedRequestRow.expires_at < utc_now()))
