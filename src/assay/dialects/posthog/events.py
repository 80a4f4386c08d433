"""Lists of events: what is asked for, and how events and traces are written.

The vendor reads events by its own query language; these paths and fields are those of its older events resource, and
the tree of a trace is ours (P§7 no. 24).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import orjson
from fastapi import Request

from assay.core.capture.validation import read_time
from assay.core.events.types import (
    EMBEDDING,
    GENERATION,
    EventPage,
    EventPosition,
    EventQuery,
    StoredEvent,
    Trace,
    TraceNode,
)
from assay.dialects.posthog.errors import FieldError
from assay.dialects.posthog.mapping import render_time
from assay.dialects.posthog.query import page_url
from assay.scoring.online import PropertyFilter
from assay.scoring.online.operators import NEGATIONS, OPERATORS

MAX_FILTERS = 50
CURSOR = "cursor"

_FILTER_TYPES = frozenset({"event", "person"})
_OPERATORS = frozenset({*OPERATORS, *NEGATIONS, "not_between"})


def read_event_query(request: Request) -> EventQuery:
    """The filters of a list of events.

    Raises:
        FieldError: A time or the property filters cannot be read.
    """
    parameters = request.query_params
    return EventQuery(
        event=parameters.get("event") or None,
        distinct_id=parameters.get("distinct_id") or None,
        trace_id=parameters.get("trace_id") or None,
        session_id=parameters.get("session_id") or None,
        after=_time(parameters.get("after"), "after"),
        before=_time(parameters.get("before"), "before"),
        filters=read_filters(parameters.get("properties", "")),
    )


def read_filters(text: str) -> list[PropertyFilter]:
    """Property filters from JSON: a list of them, or an ``AND`` group of such lists (P§3.2).

    Raises:
        FieldError: It is no such JSON, or holds what cannot be evaluated here.
    """
    if not text:
        return []
    try:
        found = list(_flatten(orjson.loads(text), depth=4))
    except ValueError as error:
        raise _bad_filters(f"`properties` is not valid JSON: {error}") from error
    if len(found) > MAX_FILTERS:
        raise _bad_filters(f"Give at most {MAX_FILTERS} filters.")
    return found


def read_cursor(request: Request) -> EventPosition | None:
    """Where the list goes on.

    Raises:
        FieldError: The cursor is not one of ours.
    """
    text = request.query_params.get(CURSOR)
    if not text:
        return None
    try:
        moment, event_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").split("|")
        position = EventPosition(datetime.fromisoformat(moment), UUID(event_id))
        if position.timestamp.tzinfo is None:
            raise ValueError(moment)
    except (ValueError, binascii.Error) as error:
        raise FieldError(CURSOR, "invalid", "The cursor is not from a `next` of this list.") from error
    return position


def render_event_page(request: Request, page: EventPage) -> dict[str, Any]:
    """The page's body; ``next`` keeps every other parameter."""
    following = None
    if page.next is not None:
        text = f"{page.next.timestamp.isoformat()}|{page.next.id}"
        cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        following = str(page_url(request).include_query_params(**{CURSOR: cursor}))
    return {"next": following, "results": [render_event(event) for event in page.events]}


def render_event(event: StoredEvent) -> dict[str, Any]:
    """An event; its id is the sender's uuid."""
    return {
        "id": str(event.uuid),
        "event": event.event,
        "distinct_id": event.distinct_id,
        "timestamp": render_time(event.timestamp),
        "properties": event.properties,
    }


def render_trace(trace_id: str, trace: Trace) -> dict[str, Any]:
    """A trace: sums over its model calls, and its events as a tree."""
    events = _flat(trace.roots)
    calls = [event.properties for event in events if event.event in (GENERATION, EMBEDDING)]
    first = min(events, key=lambda event: (event.timestamp, event.id))
    return {
        "id": trace_id,
        "session_id": next((event.session_id for event in events if event.session_id is not None), None),
        "distinct_id": first.distinct_id,
        "timestamp": render_time(first.timestamp),
        "event_count": len(events),
        "is_truncated": trace.is_truncated,
        "input_tokens": _sum(calls, "$ai_input_tokens"),
        "output_tokens": _sum(calls, "$ai_output_tokens"),
        "total_cost_usd": _sum(calls, "$ai_total_cost_usd"),
        "tree": [_render_node(node) for node in trace.roots],
    }


def _render_node(node: TraceNode) -> dict[str, Any]:
    return {**render_event(node.event), "children": [_render_node(child) for child in node.children]}


def _flat(roots: Sequence[TraceNode]) -> list[StoredEvent]:
    nodes = list(roots)
    for node in nodes:
        nodes.extend(node.children)
    return [node.event for node in nodes]


def _sum(calls: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """The sum over the calls that tell; None where none does, since that is not 0."""
    numbers = [found for call in calls if isinstance(found := call.get(name), int | float) and type(found) is not bool]
    return sum(numbers) if numbers else None


def _time(text: str | None, attr: str) -> datetime | None:
    if not text:
        return None
    if (moment := read_time(text)) is None:
        raise FieldError(attr, "invalid", f"`{attr}` must be ISO 8601, like 2026-01-31T09:30:00Z.")
    return moment


def _flatten(value: Any, *, depth: int) -> list[PropertyFilter]:
    if isinstance(value, list):
        return [found for item in cast("list[Any]", value) for found in _flatten(item, depth=depth)]
    if not isinstance(value, dict):
        raise _bad_filters("`properties` must be a list of objects with `key`, `value`, `operator` and `type`.")
    fields = cast("dict[str, Any]", value)
    if "values" in fields and "key" not in fields:
        if fields.get("type", "AND") != "AND" or depth == 0:
            raise _bad_filters("Groups of filters must be of the type `AND`, at most four inside each other.")
        return _flatten(fields["values"], depth=depth - 1)
    return [_filter(fields)]


def _filter(fields: dict[str, Any]) -> PropertyFilter:
    if not isinstance(fields.get("key"), str):
        raise _bad_filters("Every filter needs a `key`, the name of a property.")
    found = PropertyFilter.from_wire(fields)
    if found.type not in _FILTER_TYPES:
        raise _bad_filters(
            f"Filters of the type {found.type[:32]!a} cannot be evaluated here. Use `event`, or `person`."
        )
    if found.operator not in _OPERATORS:
        raise _bad_filters(f"There is no operator {found.operator[:32]!a}. Use one of {', '.join(sorted(_OPERATORS))}.")
    return found


def _bad_filters(message: str) -> FieldError:
    return FieldError("properties", "invalid", message)
