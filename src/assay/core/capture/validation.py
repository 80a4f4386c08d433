"""The rules of one event (P§6.2): what is kept as it is, what is corrected, and what is refused.

An event is refused only for what makes it useless: no name, nobody behind it, properties that are no object or that
nothing can write. The rest is put right: a text that PostgreSQL cannot hold gets U+FFFD in place of the character, a
missing or future time becomes the time of arrival, an id that is no UUID is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import orjson

from assay.core.capture.types import (
    MAX_DISTINCT_ID_CHARACTERS,
    MAX_EVENT_BYTES,
    MAX_NAME_CHARACTERS,
    Arrival,
    Fault,
    RawEvent,
)
from assay.core.events.types import NewEvent
from assay.core.runs.writable import encode, repair_text
from assay.kit.ids import new_id

MAX_AHEAD = timedelta(hours=23)
"""How far in the future an event may lie; clocks are wrong, and zones are mixed up."""
MAX_BEHIND_CLOCK = timedelta(days=365)
"""A client whose clock differs by more than this has none, and its times are taken as they are."""

_OLDEST = datetime(1, 1, 2, tzinfo=UTC)
_ESCAPED_NUL = b"\\u0000"


class EventFaultError(Exception):
    """An event cannot be kept. Raised and caught per event, so that the others are kept."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault
        self.reason = reason


def check_event(raw: RawEvent, arrival: Arrival) -> NewEvent:
    """The event to keep.

    Raises:
        EventFaultError: It cannot be kept.
    """
    properties = _properties(raw)
    return NewEvent(
        uuid=read_uuid(raw.uuid) or new_id(),
        event=_name(raw.event),
        distinct_id=_distinct_id(raw.distinct_id),
        timestamp=_timestamp(raw, arrival),
        properties=properties,
        set=_object(properties.get("$set")),
        set_once=_object(properties.get("$set_once")),
    )


def read_uuid(value: Any) -> UUID | None:
    """A client's id of an event; None where it is no UUID."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def read_time(text: Any) -> datetime | None:
    """ISO 8601 in UTC; without a zone it is UTC already. None for anything else."""
    if not isinstance(text, str) or not 8 <= len(text) <= 64:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment >= _OLDEST else None


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise EventFaultError(Fault.EVENT_NAME, "the event has no name; set `event` to a text that is not empty")
    if len(value) > MAX_NAME_CHARACTERS:
        raise EventFaultError(
            Fault.EVENT_NAME, f"the event's name is longer than {MAX_NAME_CHARACTERS} characters; shorten it"
        )
    return repair_text(value)


def _distinct_id(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = orjson.dumps(value).decode() if abs(value) < 2**63 else str(value)
    if not isinstance(value, str) or not value.strip():
        raise EventFaultError(
            Fault.DISTINCT_ID, "the event has no `distinct_id`; set it to a text that is not empty, or to a number"
        )
    return repair_text(value)[:MAX_DISTINCT_ID_CHARACTERS]


def _properties(raw: RawEvent) -> Mapping[str, Any]:
    if (sent := _object({} if raw.properties is None else raw.properties)) is None:
        raise EventFaultError(Fault.PROPERTIES, "`properties` is not an object; send names with their values")
    properties = dict(sent)
    for name, value in (raw.extra or {}).items():
        properties.setdefault(name, value)
    for name, value in (("$set", raw.set), ("$set_once", raw.set_once)):
        if isinstance(value, Mapping):
            properties[name] = {**cast("Mapping[str, Any]", value), **(_object(properties.get(name)) or {})}
    return _storable(properties)


def _storable(properties: dict[str, Any]) -> Mapping[str, Any]:
    """The properties as they will be read back, within their bound."""
    try:
        encoded = _encode(properties)
        if encoded is None:
            text = encode(properties)
            properties, encoded = orjson.loads(text), text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise EventFaultError(
            Fault.PROPERTIES, "`properties` are nested too deeply to be kept; send the inner part as JSON text"
        ) from error
    if len(encoded) > MAX_EVENT_BYTES:
        raise EventFaultError(
            Fault.TOO_LARGE, f"the event's properties are larger than {MAX_EVENT_BYTES} bytes; shorten or split them"
        )
    return properties


def _encode(properties: dict[str, Any]) -> bytes | None:
    """The JSON text; None where it has to be repaired first."""
    try:
        encoded = orjson.dumps(properties)
    except TypeError:
        return None
    return None if _ESCAPED_NUL in encoded else encoded


def _timestamp(raw: RawEvent, arrival: Arrival) -> datetime:
    moment = read_time(raw.timestamp)
    if moment is None:
        if arrival.is_strict and raw.timestamp is not None:
            raise EventFaultError(Fault.TIMESTAMP, "`timestamp` is not RFC 3339 with a zone, like 2026-01-31T09:30:00Z")
        return arrival.received_at
    if arrival.sent_at is not None and not raw.is_clock_right:
        difference = arrival.received_at - arrival.sent_at
        if abs(difference) <= MAX_BEHIND_CLOCK:
            moment = _shifted(moment, difference)
    return arrival.received_at if moment > arrival.received_at + MAX_AHEAD else moment


def _shifted(moment: datetime, difference: timedelta) -> datetime:
    try:
        return moment + difference
    except OverflowError:
        return moment


def _object(value: Any) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None
