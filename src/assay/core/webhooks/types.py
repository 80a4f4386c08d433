"""Endpoints, events and deliveries, as the rest of Assay sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Final
from uuid import UUID

from assay.core.ownership import OwnerColumns
from assay.kit.secrets import SecretBox
from assay.outbound.policy import OutboundPolicy

WEBHOOK_DELIVERY_WORKFLOW = "webhook_delivery"

MIN_SECRET_CHARACTERS = 16
MAX_SECRET_CHARACTERS = 256
"""Contract M§2.14."""


class Keep(Enum):
    """A field that is left as it is, which is not the same as clearing it."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP


class OwnerKind(StrEnum):
    """What an endpoint belongs to."""

    SCHEDULE = "schedule"


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    """Waits for its turn, or for its next attempt."""
    DELIVERED = "delivered"
    """The receiver answered 2xx."""
    FAILED = "failed"
    """Every attempt was made in vain."""
    ABANDONED = "abandoned"
    """Not attempted, or not any more, because the endpoint was disabled or removed."""


@dataclass(frozen=True, slots=True)
class WebhookTools:
    """What setting an endpoint needs."""

    policy: OutboundPolicy
    secrets: SecretBox | None
    """Encrypts the endpoint's secret; None when there is no key for it."""


@dataclass(frozen=True, slots=True)
class EndpointOwner:
    """The object whose events an endpoint receives."""

    kind: OwnerKind
    id: UUID
    columns: OwnerColumns
    """Whose the object is; the endpoint is visible to the same callers."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go. The secret itself is never read back."""

    id: UUID
    owner_kind: OwnerKind
    owner_id: UUID
    url: str | None
    """None when it was cleared while the secret was kept."""
    has_secret: bool
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def is_active(self) -> bool:
        """Whether events are sent to it."""
        return self.url is not None and self.disabled_at is None


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, as it was at that moment."""

    id: UUID
    type: str
    """For example ``eval.run.completed``."""
    owner_kind: OwnerKind
    owner_id: UUID
    subject_id: UUID
    snapshot: Mapping[str, Any]
    """The subject's facts right after the change."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver."""

    at: datetime
    seconds: float
    """How long it took."""
    status_code: int | None
    """None when no answer came."""
    error: str | None
    """Why it did not count as delivered."""
    response_body: str | None
    """The first kilobyte of the answer."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to an endpoint."""

    id: UUID
    endpoint_id: UUID
    type: str
    subject_id: UUID
    position: int
    """Its place among the subject's events, from 1."""
    status: DeliveryStatus
    reason: str | None
    """Why it failed or was abandoned."""
    attempt_count: int
    attempts: Sequence[Attempt]
    """The latest ones, oldest first."""
    created_at: datetime
    next_attempt_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list."""

    status: DeliveryStatus | None = None
    subject_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """How many deliveries an endpoint has, by status."""

    pending: int = 0
    delivered: int = 0
    failed: int = 0
    abandoned: int = 0


def event_id(delivery_id: UUID) -> str:
    """The event's public name: in the payload and in the header by which receivers tell repeats."""
    return f"evt_{delivery_id.hex}"
