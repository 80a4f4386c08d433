"""What arrives, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from assay.core.events.types import StoredEvent

MAX_NAME_CHARACTERS = 200
MAX_DISTINCT_ID_CHARACTERS = 200
MAX_EVENT_BYTES = 8 * 1024 * 1024
"""JSON text of the properties of one event (P§6.1)."""
MAX_EVENTS = 20_000
"""Events of one request."""


class Fault(StrEnum):
    """Why an event is not kept."""

    NOT_AN_OBJECT = "not_an_object"
    EVENT_NAME = "invalid_event_name"
    DISTINCT_ID = "invalid_distinct_id"
    PROPERTIES = "invalid_properties"
    TIMESTAMP = "invalid_timestamp"
    OPTIONS = "invalid_options"
    TOO_LARGE = "event_too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent:
    """An event as a client wrote it, each field of any type; checked by ``validation.check_event``."""

    event: Any
    distinct_id: Any
    uuid: Any = None
    """Kept if it is a UUID, else one is made."""
    timestamp: Any = None
    """ISO 8601; None for the time of arrival."""
    properties: Any = None
    set: Any = None
    set_once: Any = None
    is_clock_right: bool = False
    """Whether ``timestamp`` is not to be corrected by the client's clock."""
    extra: Mapping[str, Any] | None = None
    """Properties that the client sent beside the others; the others win."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """What stands in the place of an event and is none."""

    fault: Fault
    reason: str
    uuid: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the events of one request have in common."""

    received_at: datetime
    sent_at: datetime | None = None
    """The client's clock when it sent them; the difference to ours corrects their times."""
    is_strict: bool = False
    """Whether a time that cannot be read is a fault (P§6.3), instead of being the time of arrival (P§6.2)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that was not kept."""

    index: int
    """Its place in the request, from 0."""
    uuid: str | None
    """As sent."""
    fault: Fault
    reason: str
    """What is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What became of the events of one request."""

    accepted: int
    """Events that are kept now, those of earlier requests included."""
    stored: Sequence[StoredEvent]
    """Those that were not kept before."""
    refused: Sequence[Refusal]
