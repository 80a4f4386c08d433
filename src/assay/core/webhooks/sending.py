"""The sender's side: which delivery is next, and what an attempt means for it.

A subject's events go out strictly one after the other. A later event waits until the earlier one has arrived, has used
up its attempts, or was abandoned, so a receiver never sees ``completed`` before ``in_progress``; and every event gets
its own full set of attempts, so none is given up because of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.outbox.service import enqueue
from assay.core.webhooks import repository
from assay.core.webhooks.models import DeliveryRow, EndpointRow
from assay.core.webhooks.service import MAX_REASON_CHARACTERS, disable_row, wake_command, why_inactive
from assay.core.webhooks.types import Attempt, DeliveryStatus, Event, OwnerKind
from assay.kit.clock import utc_now

KEPT_ATTEMPTS = 32
KEPT_FOR = timedelta(days=30)
"""How long deliveries that have ended can be looked at and asked for again."""
STALLED_AFTER = timedelta(minutes=5)
SWEEP_BATCH = 1000


class Verdict(StrEnum):
    """What an attempt came to."""

    ACCEPTED = "accepted"
    TRY_AGAIN = "try_again"
    HOPELESS = "hopeless"
    """It would fail in the same way again."""
    GONE = "gone"
    """The receiver wants nothing any more (410)."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery whose time has come."""

    event: Event
    url: str
    sealed_secret: bytes | None
    round_no: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next delivery's time is still to come."""

    seconds: float


async def take_next(session: AsyncSession, *, endpoint_id: UUID, subject_id: UUID) -> Outgoing | Waiting | None:
    """What to do next for a subject; None when nothing is pending. An inactive endpoint's deliveries are abandoned."""
    row = await repository.find_next(session, endpoint_id, subject_id)
    if row is None:
        return None
    endpoint = await repository.get_endpoint(session, endpoint_id)
    reason, now = why_inactive(endpoint), utc_now()
    if reason is not None or endpoint.url is None:
        await repository.abandon_pending(session, endpoint_id, reason=reason or "", now=now, subject_id=subject_id)
        return None
    wait = (row.next_attempt_at or now) - now
    if wait > timedelta(0):
        return Waiting(wait.total_seconds())
    return Outgoing(_event(row, endpoint), endpoint.url, endpoint.sealed_secret, row.round_no)


async def record_attempt(
    session: AsyncSession,
    *,
    endpoint_id: UUID,
    delivery_id: UUID,
    round_no: int,
    attempt: Attempt,
    verdict: Verdict,
    delays: Sequence[timedelta],
) -> None:
    """Write down an attempt, and what follows from it.

    Args:
        session: A transaction.
        endpoint_id: Where it went.
        delivery_id: What was attempted; one that has been deleted meanwhile is ignored.
        round_no: The round as ``take_next`` gave it. If the delivery was asked for again meanwhile, this attempt does
            not end the newer round.
        attempt: What happened.
        verdict: What it came to.
        delays: Pauses before each further attempt of a round.
    """
    # Endpoint first, deliveries second: in the other order two runs that are told "gone" would wait for each other.
    gone = await repository.get_endpoint(session, endpoint_id, lock=True) if verdict is Verdict.GONE else None
    row = await repository.lock_delivery(session, delivery_id)
    if row is None:
        return
    row.attempts = [*row.attempts, repository.write_attempt(attempt)][-KEPT_ATTEMPTS:]
    row.attempt_count += 1
    if gone is not None:
        await disable_row(session, gone, reason="The receiver answered 410 Gone.")
    elif row.round_no == round_no:
        _move_on(row, attempt, verdict, delays)
    await session.flush()


async def wake_stalled(session: AsyncSession) -> int:
    """Wake senders of deliveries that are minutes overdue: their workflow was lost, or nobody was there to run it.

    Returns:
        How many were woken.
    """
    stalled = await repository.find_stalled(session, due_before=utc_now() - STALLED_AFTER, limit=SWEEP_BATCH)
    for endpoint_id, subject_id in stalled:
        await enqueue(session, wake_command(endpoint_id, subject_id))
    return len(stalled)


async def forget_ended(session: AsyncSession) -> None:
    """Delete deliveries that ended more than thirty days ago."""
    await repository.delete_ended(session, before=utc_now() - KEPT_FOR, limit=SWEEP_BATCH)


def _move_on(row: DeliveryRow, attempt: Attempt, verdict: Verdict, delays: Sequence[timedelta]) -> None:
    row.tries += 1
    if verdict is Verdict.ACCEPTED:
        _end(row, DeliveryStatus.DELIVERED, None)
    elif row.status != DeliveryStatus.PENDING.value:
        return
    elif verdict is Verdict.HOPELESS or row.tries > len(delays):
        _end(row, DeliveryStatus.FAILED, f"Given up after {row.tries} attempts. {attempt.error or ''}".strip())
    else:
        row.next_attempt_at = utc_now() + delays[row.tries - 1]


def _end(row: DeliveryRow, status: DeliveryStatus, reason: str | None) -> None:
    row.status = status.value
    row.reason = None if reason is None else reason[:MAX_REASON_CHARACTERS]
    row.next_attempt_at = None
    row.ended_at = utc_now()


def _event(row: DeliveryRow, endpoint: EndpointRow) -> Event:
    return Event(
        id=row.id,
        type=row.type,
        owner_kind=OwnerKind(endpoint.owner_kind),
        owner_id=endpoint.owner_id,
        subject_id=row.subject_id,
        snapshot=row.snapshot,
        created_at=row.created_at,
    )
