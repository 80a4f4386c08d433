"""Deliveries as this dialect writes them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from assay.core.webhooks.types import Attempt, Delivery
from assay.dialects.mka1.identifiers import Prefix, write_id
from assay.dialects.mka1.mapping import unix, unix_or_none
from assay.dialects.mka1.wire.deliveries import WireAttempt, WireDelivery


def delivery_writer(schedule_id: UUID) -> Callable[[Delivery], WireDelivery]:
    """Writes the deliveries of one schedule."""

    def write(delivery: Delivery) -> WireDelivery:
        return to_delivery(delivery, schedule_id)

    return write


def to_delivery(delivery: Delivery, schedule_id: UUID) -> WireDelivery:
    """A delivery, with its latest attempts."""
    return WireDelivery(
        id=write_id(Prefix.EVENT, delivery.id),
        object="eval.schedule.delivery",
        schedule_id=write_id(Prefix.SCHEDULE, schedule_id),
        run_id=write_id(Prefix.RUN, delivery.subject_id),
        type=delivery.type,
        position=delivery.position,
        status=delivery.status.value,
        reason=delivery.reason,
        attempt_count=delivery.attempt_count,
        attempts=[_to_attempt(attempt) for attempt in delivery.attempts],
        created_at=unix(delivery.created_at),
        next_attempt_at=unix_or_none(delivery.next_attempt_at),
        ended_at=unix_or_none(delivery.ended_at),
    )


def _to_attempt(attempt: Attempt) -> WireAttempt:
    return WireAttempt(
        at=unix(attempt.at),
        seconds=attempt.seconds,
        status_code=attempt.status_code,
        error=attempt.error,
        response_body=attempt.response_body,
    )
