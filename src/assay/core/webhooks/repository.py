"""SQL of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, defer

from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.webhooks.models import DeliveryRow, EndpointRow
from assay.core.webhooks.types import (
    Attempt,
    Delivery,
    DeliveryCounts,
    DeliveryFilter,
    DeliveryStatus,
    Endpoint,
    OwnerKind,
)
from assay.db.paging import Page, fetch_page

PENDING = DeliveryRow.status == DeliveryStatus.PENDING.value


async def find_endpoints(session: AsyncSession, kind: OwnerKind, owner_ids: Sequence[UUID]) -> Sequence[EndpointRow]:
    """The endpoints of these owners, whoever asks."""
    query = select(EndpointRow).where(
        EndpointRow.owner_kind == kind.value, EndpointRow.owner_id.in_(owner_ids), EndpointRow.deleted_at.is_(None)
    )
    return (await session.scalars(query)).all()


async def find_visible_endpoint(
    session: AsyncSession, principal: Principal, condition: ColumnElement[bool]
) -> EndpointRow | None:
    """The one visible endpoint that meets a condition."""
    return await session.scalar(select(EndpointRow).where(visible_to(principal, EndpointRow), condition))


async def get_endpoint(session: AsyncSession, endpoint_id: UUID, *, lock: bool = False) -> EndpointRow:
    """The endpoint of a delivery, as it is now, whoever asks; locked against other changes when asked."""
    return await session.get_one(EndpointRow, endpoint_id, populate_existing=True, with_for_update=lock or None)


async def list_deliveries(
    session: AsyncSession, endpoint_id: UUID, delivery_filter: DeliveryFilter, *, after: UUID | None, limit: int
) -> Page[DeliveryRow]:
    """An endpoint's deliveries, newest event first, without their snapshots."""
    own = DeliveryRow.endpoint_id == endpoint_id
    conditions = [own]
    if delivery_filter.status is not None:
        conditions.append(DeliveryRow.status == delivery_filter.status.value)
    if delivery_filter.subject_id is not None:
        conditions.append(DeliveryRow.subject_id == delivery_filter.subject_id)
    query = select(DeliveryRow).where(*conditions).options(defer(DeliveryRow.snapshot, raiseload=True))
    return await fetch_page(session, query, sort=[DeliveryRow.id], after=after, limit=limit, within=own)


async def count_deliveries(session: AsyncSession, endpoint_id: UUID) -> DeliveryCounts:
    """An endpoint's deliveries by status."""
    query = select(DeliveryRow.status, func.count()).where(DeliveryRow.endpoint_id == endpoint_id)
    counts = (await session.execute(query.group_by(DeliveryRow.status))).all()
    return DeliveryCounts(**{status: count for status, count in counts})


async def lock_delivery(session: AsyncSession, delivery_id: UUID) -> DeliveryRow | None:
    """A delivery, locked against other changes."""
    query = select(DeliveryRow).where(DeliveryRow.id == delivery_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def next_position(session: AsyncSession, endpoint_id: UUID, subject_id: UUID) -> int:
    """The place of a subject's next event."""
    last = select(func.max(DeliveryRow.position)).where(
        DeliveryRow.endpoint_id == endpoint_id, DeliveryRow.subject_id == subject_id
    )
    return (await session.scalar(last) or 0) + 1


async def find_next(session: AsyncSession, endpoint_id: UUID, subject_id: UUID) -> DeliveryRow | None:
    """The subject's first pending delivery."""
    query = (
        select(DeliveryRow)
        .where(DeliveryRow.endpoint_id == endpoint_id, DeliveryRow.subject_id == subject_id, PENDING)
        .order_by(DeliveryRow.position)
        .limit(1)
    )
    return await session.scalar(query)


async def abandon_pending(
    session: AsyncSession, endpoint_id: UUID, *, reason: str, now: datetime, subject_id: UUID | None = None
) -> None:
    """End an endpoint's pending deliveries, or those of one subject."""
    conditions = [DeliveryRow.endpoint_id == endpoint_id, PENDING]
    if subject_id is not None:
        conditions.append(DeliveryRow.subject_id == subject_id)
    await session.execute(
        update(DeliveryRow)
        .where(*conditions)
        .values(status=DeliveryStatus.ABANDONED.value, reason=reason, ended_at=now, next_attempt_at=None)
        .execution_options(synchronize_session="fetch")
    )


async def find_stalled(session: AsyncSession, *, due_before: datetime, limit: int) -> list[tuple[UUID, UUID]]:
    """(endpoint, subject) whose first pending delivery should have been attempted long ago."""
    earlier = aliased(DeliveryRow)
    waits_for_another = exists().where(
        earlier.endpoint_id == DeliveryRow.endpoint_id,
        earlier.subject_id == DeliveryRow.subject_id,
        earlier.position < DeliveryRow.position,
        earlier.status == DeliveryStatus.PENDING.value,
    )
    late = (
        select(DeliveryRow.endpoint_id, DeliveryRow.subject_id)
        .where(PENDING, DeliveryRow.next_attempt_at < due_before, ~waits_for_another)
        .limit(limit)
    )
    return [(endpoint_id, subject_id) for endpoint_id, subject_id in (await session.execute(late)).all()]


async def delete_ended(session: AsyncSession, *, before: datetime, limit: int) -> None:
    """Delete deliveries that ended before a moment."""
    old = select(DeliveryRow.id).where(DeliveryRow.ended_at < before).limit(limit)
    await session.execute(
        delete(DeliveryRow).where(DeliveryRow.id.in_(old)).execution_options(synchronize_session=False)
    )


def to_endpoint(row: EndpointRow) -> Endpoint:
    """The value of an endpoint's row."""
    return Endpoint(
        id=row.id,
        owner_kind=OwnerKind(row.owner_kind),
        owner_id=row.owner_id,
        url=row.url,
        has_secret=row.sealed_secret is not None,
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def to_delivery(row: DeliveryRow) -> Delivery:
    """The value of a delivery's row."""
    return Delivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        type=row.type,
        subject_id=row.subject_id,
        position=row.position,
        status=DeliveryStatus(row.status),
        reason=row.reason,
        attempt_count=row.attempt_count,
        attempts=tuple(read_attempt(stored) for stored in row.attempts),
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        ended_at=row.ended_at,
    )


def write_attempt(attempt: Attempt) -> dict[str, Any]:
    """An attempt as it is stored."""
    return {
        "at": attempt.at.isoformat(),
        "seconds": round(attempt.seconds, 3),
        "status_code": attempt.status_code,
        "error": attempt.error,
        "response_body": attempt.response_body,
    }


def read_attempt(stored: Any) -> Attempt:
    """A stored attempt."""
    fields = cast("dict[str, Any]", stored)
    return Attempt(
        at=datetime.fromisoformat(fields["at"]),
        seconds=fields["seconds"],
        status_code=fields["status_code"],
        error=fields["error"],
        response_body=fields["response_body"],
    )
