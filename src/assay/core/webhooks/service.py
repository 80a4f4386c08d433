"""What features and users can do with webhooks.

Features: set an owner's endpoint, emit events. Users: look at deliveries, ask for one again, disable and enable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand
from assay.core.projects.types import Principal
from assay.core.webhooks import repository
from assay.core.webhooks.errors import (
    DeliveryNotFoundError,
    EndpointInactiveError,
    EndpointNotFoundError,
    SecretStorageError,
    WebhookSecretError,
)
from assay.core.webhooks.models import DeliveryRow, EndpointRow
from assay.core.webhooks.types import (
    KEEP,
    MAX_SECRET_CHARACTERS,
    MIN_SECRET_CHARACTERS,
    WEBHOOK_DELIVERY_WORKFLOW,
    Delivery,
    DeliveryCounts,
    DeliveryFilter,
    DeliveryStatus,
    Endpoint,
    EndpointOwner,
    Keep,
    OwnerKind,
    WebhookTools,
)
from assay.db.paging import Page
from assay.kit.clock import utc_now
from assay.kit.ids import new_id
from assay.kit.secrets import SecretBox
from assay.kit.storable import find_unstorable

MAX_REASON_CHARACTERS = 500


async def save_endpoint(
    session: AsyncSession,
    owner: EndpointOwner,
    *,
    tools: WebhookTools,
    url: str | Keep | None = KEEP,
    secret: str | Keep | None = KEEP,
) -> Endpoint | None:
    """Set, change or clear where an owner's events go; the caller has made sure that the owner may be changed.

    None clears a field. Clearing the URL keeps the secret for later (R8); setting a URL, even the same one, enables an
    endpoint that was disabled.

    Returns:
        The endpoint; None if there was none and nothing was set.

    Raises:
        UrlRefusedError: Not an HTTPS URL of at most 2,048 characters; ``param`` is ``webhook_url``.
        WebhookSecretError: Not 16 to 256 characters; ``param`` is ``webhook_secret``.
        SecretStorageError: There is no key to encrypt the secret with.
    """
    if isinstance(url, str):
        tools.policy.check_url(url, param="webhook_url")
    if isinstance(secret, str):
        _check_secret(secret)
    rows = await repository.find_endpoints(session, owner.kind, [owner.id])
    if not rows and not isinstance(url, str) and not isinstance(secret, str):
        return None
    row = rows[0] if rows else _new_endpoint(session, owner)
    if not isinstance(url, Keep):
        row.url = url
        row.disabled_at = row.disabled_reason = None
    if not isinstance(secret, Keep):
        row.sealed_secret = None if secret is None else _seal(secret, tools.secrets)
    row.updated_at = utc_now()
    await session.flush()
    return repository.to_endpoint(row)


def _seal(secret: str, secrets: SecretBox | None) -> bytes:
    if secrets is None:
        raise SecretStorageError
    return secrets.encrypt(secret)


async def remove_endpoint(session: AsyncSession, *, owner_kind: OwnerKind, owner_id: UUID) -> None:
    """Stop sending an owner's events; what is pending is abandoned. The caller may change the owner."""
    now = utc_now()
    for row in await repository.find_endpoints(session, owner_kind, [owner_id]):
        row.deleted_at = row.updated_at = now
        await session.flush()
        await repository.abandon_pending(session, row.id, reason=why_inactive(row) or "", now=now)


async def find_endpoints(
    session: AsyncSession, *, owner_kind: OwnerKind, owner_ids: Sequence[UUID]
) -> Mapping[UUID, Endpoint]:
    """Endpoints by their owner's id, for owners that the caller may see."""
    rows = await repository.find_endpoints(session, owner_kind, owner_ids)
    return {row.owner_id: repository.to_endpoint(row) for row in rows}


async def get_endpoint(
    session: AsyncSession, principal: Principal, *, owner_kind: OwnerKind, owner_id: UUID
) -> Endpoint:
    """An owner's endpoint.

    Raises:
        EndpointNotFoundError: There is none, or it is not visible to the caller.
    """
    condition = and_(EndpointRow.owner_kind == owner_kind.value, EndpointRow.owner_id == owner_id)
    row = await repository.find_visible_endpoint(session, principal, condition)
    if row is None:
        raise EndpointNotFoundError
    return repository.to_endpoint(row)


async def emit(
    session: AsyncSession, *, endpoint_id: UUID, event_type: str, subject_id: UUID, snapshot: Mapping[str, Any]
) -> UUID:
    """Tell an endpoint of an event, once the caller's transaction stands.

    The caller holds the subject's row locked, or has just made it, so that events of one subject are numbered in the
    order in which they happened. An event for an endpoint that is not active is kept as abandoned.

    Args:
        session: The transaction that makes the event true.
        endpoint_id: Whom to tell.
        event_type: For example ``eval.run.completed``.
        subject_id: What the event is about, and within which order is kept.
        snapshot: JSON-ready facts from which the payload is rendered.

    Returns:
        The event's id, which is the delivery's.
    """
    endpoint = await session.get(EndpointRow, endpoint_id, populate_existing=True)
    if endpoint is None:
        raise EndpointNotFoundError
    why_not = why_inactive(endpoint)
    now = utc_now()
    row = DeliveryRow(
        id=new_id(),
        endpoint_id=endpoint_id,
        type=event_type,
        subject_id=subject_id,
        position=await repository.next_position(session, endpoint_id, subject_id),
        snapshot=dict(snapshot),
        status=(DeliveryStatus.PENDING if why_not is None else DeliveryStatus.ABANDONED).value,
        reason=why_not,
        created_at=now,
        next_attempt_at=now if why_not is None else None,
        ended_at=None if why_not is None else now,
    )
    session.add(row)
    await session.flush()
    if why_not is None:
        await enqueue(session, wake_command(endpoint_id, subject_id))
    return row.id


async def list_deliveries(
    session: AsyncSession,
    principal: Principal,
    *,
    endpoint_id: UUID,
    delivery_filter: DeliveryFilter | None = None,
    after: UUID | None = None,
    limit: int = 20,
) -> Page[Delivery]:
    """An endpoint's deliveries, newest event first.

    Raises:
        EndpointNotFoundError: Not visible to the caller.
        UnknownCursorError: ``after`` is no delivery of this endpoint.
    """
    await _get_endpoint_row(session, principal, endpoint_id)
    page = await repository.list_deliveries(
        session, endpoint_id, delivery_filter or DeliveryFilter(), after=after, limit=limit
    )
    return page.map(repository.to_delivery)


async def count_deliveries(session: AsyncSession, principal: Principal, *, endpoint_id: UUID) -> DeliveryCounts:
    """How many deliveries an endpoint has, by status.

    Raises:
        EndpointNotFoundError: Not visible to the caller.
    """
    await _get_endpoint_row(session, principal, endpoint_id)
    return await repository.count_deliveries(session, endpoint_id)


async def redeliver(session: AsyncSession, principal: Principal, *, endpoint_id: UUID, delivery_id: UUID) -> Delivery:
    """Send an event again, with a new set of attempts, before later events of its subject that still wait.

    Raises:
        EndpointNotFoundError, DeliveryNotFoundError: Not visible to the caller.
        EndpointInactiveError: The endpoint is disabled or has no URL.
    """
    endpoint = await _get_endpoint_row(session, principal, endpoint_id)
    row = await repository.lock_delivery(session, delivery_id)
    if row is None or row.endpoint_id != endpoint_id:
        raise DeliveryNotFoundError
    if (reason := why_inactive(endpoint)) is not None:
        raise EndpointInactiveError(reason)
    row.status = DeliveryStatus.PENDING.value
    row.reason = row.ended_at = None
    row.round_no += 1
    row.tries = 0
    row.next_attempt_at = utc_now()
    await session.flush()
    await enqueue(session, wake_command(endpoint_id, row.subject_id))
    return repository.to_delivery(row)


async def disable_endpoint(session: AsyncSession, principal: Principal, *, endpoint_id: UUID, reason: str) -> Endpoint:
    """Stop sending; what is pending is abandoned with the reason.

    Raises:
        EndpointNotFoundError: Not visible to the caller.
    """
    row = await _get_endpoint_row(session, principal, endpoint_id)
    await disable_row(session, row, reason=reason)
    return repository.to_endpoint(row)


async def enable_endpoint(session: AsyncSession, principal: Principal, *, endpoint_id: UUID) -> Endpoint:
    """Send again from the next event on; abandoned deliveries stay so until each is asked for.

    Raises:
        EndpointNotFoundError: Not visible to the caller.
    """
    row = await _get_endpoint_row(session, principal, endpoint_id)
    row.disabled_at = row.disabled_reason = None
    row.updated_at = utc_now()
    await session.flush()
    return repository.to_endpoint(row)


async def disable_row(session: AsyncSession, row: EndpointRow, *, reason: str) -> None:
    """Disable an endpoint and abandon what is pending."""
    row.disabled_at = row.updated_at = utc_now()
    row.disabled_reason = reason[:MAX_REASON_CHARACTERS]
    await session.flush()
    await repository.abandon_pending(session, row.id, reason=why_inactive(row) or "", now=row.disabled_at)


def why_inactive(row: EndpointRow) -> str | None:
    """Why nothing is sent to an endpoint, in a sentence; None if it is active."""
    if row.deleted_at is not None:
        return "The webhook was removed."
    if row.disabled_at is not None:
        return f"The webhook is disabled: {row.disabled_reason}"
    return "The webhook has no URL." if row.url is None else None


def wake_command(endpoint_id: UUID, subject_id: UUID) -> WorkflowCommand:
    """Tells the sender of a subject that there may be something to send, starting it if it is not there."""
    return WorkflowCommand(
        action=Action.SIGNAL_WITH_START,
        workflow=WEBHOOK_DELIVERY_WORKFLOW,
        workflow_id=f"{WEBHOOK_DELIVERY_WORKFLOW}/{endpoint_id}/{subject_id}",
        arguments={"endpoint_id": str(endpoint_id), "subject_id": str(subject_id)},
    )


async def _get_endpoint_row(session: AsyncSession, principal: Principal, endpoint_id: UUID) -> EndpointRow:
    row = await repository.find_visible_endpoint(session, principal, EndpointRow.id == endpoint_id)
    if row is None:
        raise EndpointNotFoundError
    return row


def _new_endpoint(session: AsyncSession, owner: EndpointOwner) -> EndpointRow:
    row = EndpointRow(id=new_id(), **owner.columns, owner_kind=owner.kind.value, owner_id=owner.id)
    session.add(row)
    return row


def _check_secret(secret: str) -> None:
    right_length = MIN_SECRET_CHARACTERS <= len(secret) <= MAX_SECRET_CHARACTERS
    if not right_length or any(True for _ in find_unstorable(secret, max_depth=1)):
        raise WebhookSecretError("webhook_secret")
