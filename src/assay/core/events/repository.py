"""SQL of events and persons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    UnaryExpression,
    Uuid,
    any_,
    bindparam,
    cast,
    func,
    literal,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.events.models import EventRow, PersonRow
from assay.core.events.types import EVALUATION, EventPosition, EventQuery, StoredEvent
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.db.base import UtcDateTime
from assay.kit.clock import utc_now
from assay.kit.json import dumps


class Part(NamedTuple):
    """The first events of a list."""

    events: list[StoredEvent]
    is_cut: bool
    """Whether the rest was left out for its size."""


# One statement of one shape for any number of rows, so that it is planned once and its parameters are few.
_INSERT = text(
    """
    INSERT INTO events (project_id, created_at, id, uuid, event, distinct_id, timestamp, properties,
                        trace_id, session_id, span_id, parent_id)
    SELECT :project_id, :created_at, id, uuid, event, distinct_id, timestamp, properties::json,
           trace_id, session_id, span_id, parent_id
    FROM unnest(:ids, :uuids, :events, :distinct_ids, :timestamps, :properties,
                :trace_ids, :session_ids, :span_ids, :parent_ids)
         AS given (id, uuid, event, distinct_id, timestamp, properties, trace_id, session_id, span_id, parent_id)
    ON CONFLICT (project_id, uuid) DO NOTHING
    RETURNING uuid
    """
).bindparams(
    bindparam("project_id", type_=Uuid()),
    bindparam("created_at", type_=UtcDateTime()),
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("uuids", type_=ARRAY(Uuid())),
    bindparam("timestamps", type_=ARRAY(UtcDateTime())),
    *(
        bindparam(name, type_=ARRAY(Text()))
        for name in (
            "events",
            "distinct_ids",
            "properties",
            "trace_ids",
            "session_ids",
            "span_ids",
            "parent_ids",
        )
    ),
)

_INSERT_PERSONS = text(
    """
    INSERT INTO persons (project_id, distinct_id, properties, updated_at)
    SELECT :project_id, distinct_id, '{}', :now FROM unnest(:distinct_ids) AS given (distinct_id)
    ON CONFLICT (project_id, distinct_id) DO NOTHING
    """
).bindparams(
    bindparam("project_id", type_=Uuid()),
    bindparam("now", type_=UtcDateTime()),
    bindparam("distinct_ids", type_=ARRAY(Text())),
)
_UPDATE_PERSONS = text(
    """
    UPDATE persons SET properties = given.properties::jsonb, updated_at = :now
    FROM unnest(:distinct_ids, :properties) AS given (distinct_id, properties)
    WHERE persons.project_id = :project_id AND persons.distinct_id = given.distinct_id
    """
).bindparams(
    bindparam("project_id", type_=Uuid()),
    bindparam("now", type_=UtcDateTime()),
    bindparam("distinct_ids", type_=ARRAY(Text())),
    bindparam("properties", type_=ARRAY(Text())),
)


async def insert_events(session: AsyncSession, events: Sequence[StoredEvent], properties: Sequence[str]) -> set[UUID]:
    """Insert events of one project that arrived together.

    Args:
        session: A session inside a transaction.
        events: At least one, in the order of their uuids, each uuid once: two transactions that insert the same ones
            then wait for each other in one order.
        properties: The JSON text of each event's properties.

    Returns:
        The uuids that were not there before.
    """
    found = await session.scalars(
        _INSERT,
        {
            "project_id": events[0].project_id,
            "created_at": events[0].created_at,
            "ids": [event.id for event in events],
            "uuids": [event.uuid for event in events],
            "events": [event.event for event in events],
            "distinct_ids": [event.distinct_id for event in events],
            "timestamps": [event.timestamp for event in events],
            "properties": list(properties),
            "trace_ids": [event.trace_id for event in events],
            "session_ids": [event.session_id for event in events],
            "span_ids": [event.span_id for event in events],
            "parent_ids": [event.parent_id for event in events],
        },
    )
    return set(found)


async def known_events(session: AsyncSession, principal: Principal, uuids: Iterable[UUID]) -> set[UUID]:
    """Those of the uuids that are events of the caller's."""
    wanted = literal(list(uuids), ARRAY(Uuid))
    statement = select(EventRow.uuid).where(EventRow.uuid == any_(wanted), visible_to(principal, EventRow))
    return set((await session.scalars(statement)).all())


async def find_event(session: AsyncSession, principal: Principal, uuid: UUID) -> StoredEvent | None:
    """One event of the caller by the sender's id."""
    statement = select(EventRow).where(EventRow.uuid == uuid, visible_to(principal, EventRow))
    row = (await session.scalars(statement)).one_or_none()
    return None if row is None else stored(row)


async def list_events(
    session: AsyncSession,
    principal: Principal,
    query: EventQuery,
    *,
    position: EventPosition | None,
    limit: int,
    max_bytes: int,
) -> Part:
    """The caller's events that match all but the filters, newest first."""
    conditions = [visible_to(principal, EventRow), *_conditions(query)]
    if position is not None:
        conditions.append(tuple_(EventRow.timestamp, EventRow.id) < tuple_(*position))
    order = (EventRow.timestamp.desc(), EventRow.id.desc())
    return await _read_part(session, conditions, order, limit=limit, max_bytes=max_bytes)


async def list_oldest(
    session: AsyncSession, principal: Principal, query: EventQuery, *, limit: int, max_bytes: int
) -> Part:
    """The first of the caller's events that match all but the filters, in order of time."""
    conditions = [visible_to(principal, EventRow), *_conditions(query)]
    order = (EventRow.timestamp.asc(), EventRow.id.asc())
    return await _read_part(session, conditions, order, limit=limit, max_bytes=max_bytes)


async def _read_part(
    session: AsyncSession,
    conditions: Sequence[ColumnElement[bool]],
    order: Sequence[UnaryExpression[Any]],
    *,
    limit: int,
    max_bytes: int,
) -> Part:
    """Events as far as they fit, at least the first: anyone can send large ones, and a reader must not pay for that."""
    size = func.octet_length(cast(EventRow.properties, Text))
    sized = await session.execute(select(EventRow.id, size).where(*conditions).order_by(*order).limit(limit))
    fitting: list[UUID] = []
    total, count = 0, 0
    for event_id, bytes_of_event in sized:
        count += 1
        total += bytes_of_event
        if not fitting or total <= max_bytes:
            fitting.append(event_id)
    rows = await session.scalars(select(EventRow).where(EventRow.id.in_(fitting)).order_by(*order))
    return Part([stored(row) for row in rows], is_cut=len(fitting) < count)


async def get_events(session: AsyncSession, project_id: UUID, ids: Sequence[UUID]) -> list[StoredEvent]:
    """Events of a project by our ids, in the order of those; those that are gone are left out."""
    statement = select(EventRow).where(EventRow.project_id == project_id, EventRow.id.in_(ids))
    rows = await session.scalars(statement.where(EventRow.deleted_at.is_(None)))
    found = {event.id: event for event in map(stored, rows)}
    return [found[event_id] for event_id in ids if event_id in found]


async def get_unit_events(
    session: AsyncSession, project_id: UUID, *, trace_id: str | None, session_id: str | None, limit: int
) -> list[StoredEvent]:
    """The first events of a trace or a session in order of time, without results of judging."""
    query = EventQuery(trace_id=trace_id, session_id=session_id)
    statement = _of_project(project_id).where(*_conditions(query), EventRow.event != EVALUATION)
    rows = await session.scalars(statement.order_by(EventRow.timestamp, EventRow.id).limit(limit))
    return [stored(row) for row in rows]


async def scan_events(
    session: AsyncSession, project_id: UUID, query: EventQuery, *, position: EventPosition | None, limit: int
) -> list[StoredEvent]:
    """A project's events after a place, in order of time, matching all but the filters of a query."""
    statement = _of_project(project_id).where(*_conditions(query))
    if position is not None:
        statement = statement.where(tuple_(EventRow.timestamp, EventRow.id) > tuple_(*position))
    rows = await session.scalars(statement.order_by(EventRow.timestamp, EventRow.id).limit(limit))
    return [stored(row) for row in rows]


def _of_project(project_id: UUID) -> Select[EventRow]:
    return select(EventRow).where(EventRow.project_id == project_id, EventRow.deleted_at.is_(None))


async def lock_persons(session: AsyncSession, project_id: UUID, distinct_ids: Sequence[str]) -> dict[str, Any]:
    """Properties by distinct id, locked for a change and made if missing.

    Args:
        session: A session inside a transaction.
        project_id: The project.
        distinct_ids: Sorted, so that transactions with the same persons wait in one order.
    """
    values = {"project_id": project_id, "distinct_ids": list(distinct_ids), "now": utc_now()}
    await session.execute(_INSERT_PERSONS, values)
    statement = _persons(project_id, distinct_ids).order_by(PersonRow.distinct_id).with_for_update()
    return {row.distinct_id: row.properties for row in await session.scalars(statement)}


async def update_persons(session: AsyncSession, project_id: UUID, properties: Mapping[str, Any]) -> None:
    """Replace what is known of persons that are locked."""
    values = {
        "project_id": project_id,
        "distinct_ids": list(properties),
        "properties": [dumps(known) for known in properties.values()],
        "now": utc_now(),
    }
    await session.execute(_UPDATE_PERSONS, values)


async def get_persons(session: AsyncSession, project_id: UUID, distinct_ids: Sequence[str]) -> dict[str, Any]:
    """Properties by distinct id, of persons that are known."""
    rows = await session.scalars(_persons(project_id, distinct_ids))
    return {row.distinct_id: row.properties for row in rows}


def _persons(project_id: UUID, distinct_ids: Sequence[str]) -> Select[PersonRow]:
    mine = (PersonRow.project_id == project_id, PersonRow.distinct_id.in_(distinct_ids))
    # What an earlier statement of the session read may have been changed by SQL since.
    return select(PersonRow).where(*mine).execution_options(populate_existing=True)


def _conditions(query: EventQuery) -> list[ColumnElement[bool]]:
    equal = {
        EventRow.event: query.event,
        EventRow.distinct_id: query.distinct_id,
        EventRow.trace_id: query.trace_id,
        EventRow.session_id: query.session_id,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if query.after is not None:
        conditions.append(EventRow.timestamp > query.after)
    if query.before is not None:
        conditions.append(EventRow.timestamp < query.before)
    return conditions


def stored(row: EventRow) -> StoredEvent:
    """The event of a row."""
    return StoredEvent(
        id=row.id,
        project_id=row.project_id,
        uuid=row.uuid,
        event=row.event,
        distinct_id=row.distinct_id,
        timestamp=row.timestamp,
        created_at=row.created_at,
        properties=row.properties,
        trace_id=row.trace_id,
        session_id=row.session_id,
        span_id=row.span_id,
        parent_id=row.parent_id,
    )
