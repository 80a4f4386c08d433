"""Use cases of events: keeping and reading them.

Keeping is idempotent by the sender's uuid. What a program of ours writes (the result of a judgement) goes the same way
as what a client sends, so give it a uuid that derives from what it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.events import repository
from assay.core.events.errors import EventNotFoundError, TraceNotFoundError
from assay.core.events.filtering import matches
from assay.core.events.traces import build_tree
from assay.core.events.types import (
    MAX_KEY_CHARACTERS,
    EventPage,
    EventPosition,
    EventQuery,
    NewEvent,
    StoredEvent,
    Trace,
)
from assay.core.projects.types import Principal
from assay.kit.clock import utc_now
from assay.kit.ids import new_id
from assay.kit.json import dumps

MAX_TRACE_EVENTS = 2000
"""Events of one trace that are read as a tree."""
MAX_EXAMINED = 5000
"""Events that one page with filters looks at."""
MAX_PAGE_BYTES = 32 * 1024 * 1024
"""JSON text of the properties of all events of one answer, but of the first."""
MAX_PERSON_BYTES = 256 * 1024
"""JSON text of all that is known of one person; an event that would pass it changes nothing of it."""

_BATCH = 500
_INSERTED = 1000


async def store_events(session: AsyncSession, project_id: UUID, events: Sequence[NewEvent]) -> list[StoredEvent]:
    """Keep events, in the caller's transaction.

    Args:
        session: A session inside a transaction.
        project_id: Whose they are.
        events: In any order; of those with the same uuid, the first counts.

    Returns:
        Those that were not kept before, in the order given.
    """
    first: dict[UUID, NewEvent] = {}
    for event in events:
        first.setdefault(event.uuid, event)
    if not first:
        return []
    now = utc_now()
    rows = {uuid: _stored(event, project_id, now) for uuid, event in first.items()}
    order = sorted(rows)
    new: set[UUID] = set()
    for start in range(0, len(order), _INSERTED):
        part = order[start : start + _INSERTED]
        texts = [dumps(first[uuid].properties) for uuid in part]
        new |= await repository.insert_events(session, [rows[uuid] for uuid in part], texts)
    await _learn_of_persons(session, project_id, [event for uuid, event in first.items() if uuid in new])
    return [row for uuid, row in rows.items() if uuid in new]


async def find_event(session: AsyncSession, principal: Principal, uuid: UUID) -> StoredEvent:
    """An event by the sender's uuid.

    Raises:
        EventNotFoundError: The caller has no such event.
    """
    event = await repository.find_event(session, principal, uuid)
    if event is None:
        raise EventNotFoundError(uuid)
    return event


async def known_events(session: AsyncSession, principal: Principal, uuids: Iterable[UUID]) -> set[UUID]:
    """Those of the senders' uuids that are events of the caller's."""
    return await repository.known_events(session, principal, uuids)


async def list_events(
    session: AsyncSession,
    principal: Principal,
    query: EventQuery,
    *,
    position: EventPosition | None = None,
    limit: int = 100,
) -> EventPage:
    """The caller's events that match, newest first.

    Args:
        session: Where to read.
        principal: The caller.
        query: What to list. Filters of persons see what is known of them now.
        position: Where to go on, from the page before.
        limit: Most events, at least 1. A page holds ``MAX_PAGE_BYTES`` at most, and one with filters looks at no more
            than ``MAX_EXAMINED`` events.
    """
    if not query.filters:
        found = await repository.list_events(
            session, principal, query, position=position, limit=limit + 1, max_bytes=MAX_PAGE_BYTES
        )
        shown = found.events[:limit]
        goes_on = found.is_cut or len(shown) < len(found.events)
        return EventPage(shown, _position(shown[-1]) if goes_on else None)
    return await _list_filtered(session, principal, query, position, limit)


async def read_trace(session: AsyncSession, principal: Principal, trace_id: str) -> Trace:
    """A trace as a tree, of its first ``MAX_TRACE_EVENTS`` events and ``MAX_PAGE_BYTES`` at most.

    Raises:
        TraceNotFoundError: No event of the caller carries the id.
    """
    query = EventQuery(trace_id=trace_id)
    found = await repository.list_oldest(
        session, principal, query, limit=MAX_TRACE_EVENTS + 1, max_bytes=MAX_PAGE_BYTES
    )
    if not found.events:
        raise TraceNotFoundError(trace_id)
    shown = found.events[:MAX_TRACE_EVENTS]
    return Trace(build_tree(shown), is_truncated=found.is_cut or len(shown) < len(found.events))


async def get_events(session: AsyncSession, project_id: UUID, ids: Sequence[UUID]) -> list[StoredEvent]:
    """Events of a project by ``StoredEvent.id``, in the order of those; those that are gone are left out.

    For work that no caller waits for; what a caller asks for goes through ``find_event``.
    """
    return await repository.get_events(session, project_id, ids)


async def get_unit_events(
    session: AsyncSession,
    project_id: UUID,
    *,
    trace_id: str | None = None,
    session_id: str | None = None,
    limit: int = MAX_TRACE_EVENTS,
) -> list[StoredEvent]:
    """The first events of a trace or a session in order of time, without results of judging.

    For work that no caller waits for, like ``get_events``.
    """
    return await repository.get_unit_events(session, project_id, trace_id=trace_id, session_id=session_id, limit=limit)


async def scan_events(
    session: AsyncSession, project_id: UUID, query: EventQuery, *, position: EventPosition | None, limit: int
) -> list[StoredEvent]:
    """A project's events after a place, in order of time, matching all but the filters of a query.

    For work that no caller waits for, like ``get_events``.
    """
    return await repository.scan_events(session, project_id, query, position=position, limit=limit)


async def get_persons(
    session: AsyncSession, project_id: UUID, distinct_ids: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    """What events have set of persons, by distinct id; who is not known is left out."""
    return await repository.get_persons(session, project_id, distinct_ids)


async def _list_filtered(
    session: AsyncSession, principal: Principal, query: EventQuery, position: EventPosition | None, limit: int
) -> EventPage:
    matching: list[StoredEvent] = []
    examined = 0
    while examined < MAX_EXAMINED:
        batch = await repository.list_events(
            session, principal, query, position=position, limit=_BATCH, max_bytes=MAX_PAGE_BYTES
        )
        persons = await _persons_of(session, principal, query, batch.events)
        for event in batch.events:
            examined += 1
            position = _position(event)
            if matches(event, query.filters, persons.get(event.distinct_id)):
                matching.append(event)
                if len(matching) == limit:
                    return EventPage(matching, position)
        if batch.is_cut:
            return EventPage(matching, position)
        if len(batch.events) < _BATCH:
            return EventPage(matching, None)
    return EventPage(matching, position)


async def _persons_of(
    session: AsyncSession, principal: Principal, query: EventQuery, events: Sequence[StoredEvent]
) -> Mapping[str, Mapping[str, Any]]:
    if not any(item.type == "person" for item in query.filters):
        return {}
    return await get_persons(session, principal.project_id, sorted({event.distinct_id for event in events}))


async def _learn_of_persons(session: AsyncSession, project_id: UUID, events: Sequence[NewEvent]) -> None:
    telling = [event for event in events if event.set or event.set_once]
    if not telling:
        return
    known = await repository.lock_persons(session, project_id, sorted({event.distinct_id for event in telling}))
    for event in telling:
        merged = {**(event.set_once or {}), **known[event.distinct_id], **(event.set or {})}
        if len(dumps(merged)) <= MAX_PERSON_BYTES:
            known[event.distinct_id] = merged
    await repository.update_persons(session, project_id, known)


def _position(event: StoredEvent) -> EventPosition:
    return EventPosition(event.timestamp, event.id)


def _stored(event: NewEvent, project_id: UUID, now: datetime) -> StoredEvent:
    return StoredEvent(
        id=new_id(),
        project_id=project_id,
        uuid=event.uuid,
        event=event.event,
        distinct_id=event.distinct_id,
        timestamp=event.timestamp,
        created_at=now,
        properties=event.properties,
        trace_id=_key(event, "$ai_trace_id"),
        session_id=_key(event, "$ai_session_id"),
        span_id=_key(event, "$ai_span_id"),
        parent_id=_key(event, "$ai_parent_id"),
    )


def _key(event: NewEvent, name: str) -> str | None:
    """An id by which events are found; numbers are taken as text, and an id too long to be found by as none."""
    value = event.properties.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_KEY_CHARACTERS else None
