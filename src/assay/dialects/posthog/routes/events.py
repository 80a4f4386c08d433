"""Reading captured events, and traces with their trees (P§7 no. 24)."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from assay.core.events import service
from assay.core.events.errors import EventNotFoundError
from assay.dialects.posthog.events import (
    read_cursor,
    read_event_query,
    render_event,
    render_event_page,
    render_trace,
)
from assay.dialects.posthog.query import read_slice
from assay.dialects.posthog.route import AnalyticsReader, ProjectPath, Resource, Session, open_project, read_uuid

events = Resource(tag="events")


@events.route("GET", "/events")
async def list_events(
    project_id: ProjectPath, request: Request, principal: AnalyticsReader, session: Session
) -> dict[str, Any]:
    """Events that match, newest first."""
    await open_project(session, principal, project_id)
    query, position = read_event_query(request), read_cursor(request)
    limit = read_slice(request).limit
    page = await service.list_events(session, principal, query, position=position, limit=limit)
    return render_event_page(request, page)


@events.route("GET", "/events/{event_id}")
async def get_event(
    project_id: ProjectPath, event_id: str, principal: AnalyticsReader, session: Session
) -> dict[str, Any]:
    """An event by the uuid that its sender gave it."""
    await open_project(session, principal, project_id)
    if (found := read_uuid(event_id)) is None:
        raise EventNotFoundError(event_id)
    return render_event(await service.find_event(session, principal, found))


@events.route("GET", "/llm_analytics/traces/{trace_id}")
async def get_trace(
    project_id: ProjectPath, trace_id: str, principal: AnalyticsReader, session: Session
) -> dict[str, Any]:
    """A trace: its sums, and its events as a tree."""
    await open_project(session, principal, project_id)
    return render_trace(trace_id, await service.read_trace(session, principal, trace_id))
