"""Events, as they arrive and as they are kept.

An event has two ids. Its ``uuid`` is the sender's: sending the same again changes nothing. Its ``id`` is ours, made
when it arrived, and breaks ties between events of one time. Lists run by ``(timestamp, id)``, newest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from assay.scoring.online import Event, PropertyFilter

GENERATION = "$ai_generation"
SPAN = "$ai_span"
TRACE = "$ai_trace"
EMBEDDING = "$ai_embedding"
EVALUATION = "$ai_evaluation"
"""The result of judging; such events are never judged themselves."""

MAX_KEY_CHARACTERS = 400
"""Of trace, session and span ids that can be looked up by; a B-tree entry has to fit a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to keep, checked: every text is free of NUL and half surrogates, every number finite."""

    uuid: UUID
    event: str
    """Its name."""
    distinct_id: str
    timestamp: datetime
    properties: Mapping[str, Any]
    set_once: Mapping[str, Any] | None = None
    """Of the person: kept unless known already."""
    set: Mapping[str, Any] | None = None
    """Of the person: the last value wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event that was kept."""

    id: UUID
    """Sorts by arrival; to refer to it and to break ties."""
    project_id: UUID
    uuid: UUID
    """The sender's id, unique in its project."""
    event: str
    distinct_id: str
    timestamp: datetime
    """When it happened, by the sender's corrected clock."""
    created_at: datetime
    """When it arrived."""
    properties: Mapping[str, Any]
    trace_id: str | None
    session_id: str | None
    """Of ``$ai_session_id``, which groups traces; not the browser's ``$session_id``."""
    span_id: str | None
    parent_id: str | None

    def for_scoring(self, person_properties: Mapping[str, Any] | None = None) -> Event:
        """The same event for filters, judges and programs."""
        return Event(
            uuid=str(self.uuid),
            event=self.event,
            distinct_id=self.distinct_id,
            properties=self.properties,
            timestamp=self.timestamp.isoformat(),
            person_properties=person_properties,
        )


class EventPosition(NamedTuple):
    """A place in a list of events."""

    timestamp: datetime
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events to list; conditions hold together."""

    event: str | None = None
    distinct_id: str | None = None
    trace_id: str | None = None
    session_id: str | None = None
    after: datetime | None = None
    """Later than this."""
    before: datetime | None = None
    """Earlier than this."""
    filters: Sequence[PropertyFilter] = ()
    """All of them must hold."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Part of a list of events."""

    events: Sequence[StoredEvent]
    next: EventPosition | None
    """Where the list goes on; None at its end. With filters, a page may be short or empty and yet go on."""


@dataclass(frozen=True, slots=True)
class TraceNode:
    """One event of a trace with the steps inside it."""

    event: StoredEvent
    children: tuple[TraceNode, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """The events of a trace as a tree."""

    roots: Sequence[TraceNode]
    is_truncated: bool
    """Whether there may be more events than these."""
