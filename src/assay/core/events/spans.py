"""Events that came as OpenTelemetry spans, with all that the span said: for APIs that give it back as it was.

What only a span has stands in the event's property ``otel``, beside what every reader of events understands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Text, cast, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.events import repository
from assay.core.events.models import EventRow
from assay.core.events.types import StoredEvent
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.db.listing import Columns, ListQuery, SortBy, list_rows
from assay.db.slices import Counted, Slice

PROPERTY: Final = "otel"
MAX_SPANS: Final = 2_000
MAX_SERVICES: Final = 1_000
_OTEL = EventRow.properties[PROPERTY]


def _text(name: str) -> ColumnElement[str]:
    return _OTEL[name].as_string()


def _integer(name: str) -> ColumnElement[int]:
    return cast(_OTEL[name].as_string(), BigInteger)


COLUMNS: Columns = {
    "id": EventRow.id,
    "agent": _text("agent"),
    "job": _text("job"),
    "iteration": _text("iteration"),
    "trace_id": EventRow.trace_id,
    "span_id": EventRow.span_id,
    "name": _text("name"),
    "operation": _text("operation"),
    "service_name": _text("service_name"),
    "span_type": _text("span_type"),
    "kind": _integer("kind"),
    "status_code": _integer("status_code"),
    "duration_ns": _integer("duration_ns"),
    "start_time_ns": EventRow.timestamp,
    "received_at": EventRow.created_at,
}


async def list_roots(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[StoredEvent]:
    """The root spans of the caller's traces, the last to start first."""
    roots = _spans(principal).where(EventRow.parent_id.is_(None))
    found = await list_rows(
        session,
        roots,
        query,
        part,
        columns=COLUMNS,
        searched=(_text("name"), _text("service_name")),
        otherwise=(SortBy("start_time_ns", descending=True),),
    )
    return Counted(found.count, [repository.stored(row) for row in found.rows])


async def read_spans(session: AsyncSession, principal: Principal, trace_id: str) -> Sequence[StoredEvent]:
    """The first ``MAX_SPANS`` spans of a trace, in the order in which they started; none when there is no such."""
    statement = _spans(principal).where(EventRow.trace_id == trace_id)
    rows = await session.scalars(statement.order_by(EventRow.timestamp, EventRow.id).limit(MAX_SPANS))
    return [repository.stored(row) for row in rows]


async def list_services(session: AsyncSession, principal: Principal) -> Sequence[str]:
    """The first ``MAX_SERVICES`` names of services that sent spans, in alphabetical order."""
    name = _text("service_name")
    statement = select(name).where(visible_to(principal, EventRow), cast(_OTEL, Text).is_not(None), name != "")
    return [*(await session.scalars(statement.distinct().order_by(name).limit(MAX_SERVICES)))]


def _spans(principal: Principal) -> Any:
    return select(EventRow).where(visible_to(principal, EventRow), cast(_OTEL, Text).is_not(None))
