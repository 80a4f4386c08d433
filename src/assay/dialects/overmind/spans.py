"""Spans of OpenTelemetry as this dialect keeps and shows them (O§2.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.capture.otlp.events import event_of
from assay.core.capture.otlp.spans import Span
from assay.core.capture.types import RawEvent, Unreadable
from assay.core.events.spans import PROPERTY
from assay.core.events.types import StoredEvent
from assay.core.jobs.traces import known_links
from assay.core.projects.types import Principal
from assay.dialects.overmind.people import Numbers
from assay.dialects.overmind.wire.base import as_object
from assay.dialects.overmind.wire.spans import FullSpan, SpanRow
from assay.kit.errors import ForbiddenError

LINKS = ("agent", "job", "iteration")
_PREFIXES = ("overmind.", "overclaw.")
_LLM_CALL, _TOOL_CALL = "llm_call", "tool_call"


class ForeignSpanError(ForbiddenError):
    """A span says that it is another project's."""

    code = "foreign_span"

    def __init__(self) -> None:
        super().__init__("A span names another project than that of the key.")


@dataclass(frozen=True, slots=True)
class _Told:
    """A span and what it says that it belongs to."""

    span: Span
    links: Mapping[str, UUID]


async def to_events(session: AsyncSession, principal: Principal, spans: Sequence[Span]) -> list[RawEvent | Unreadable]:
    """The events that spans become, linked to those of the caller's agents, jobs and iterations that they name.

    Raises:
        ForeignSpanError: One names another project.
    """
    told = [_Told(span, _links(span)) for span in spans]
    for span in spans:
        project = _named(span, "project")
        if project is not None and project != principal.project_id:
            raise ForeignSpanError
    known = await known_links(
        session,
        principal,
        agent_ids={one.links["agent"] for one in told if "agent" in one.links},
        job_ids={one.links["job"] for one in told if "job" in one.links},
        iteration_ids={one.links["iteration"] for one in told if "iteration" in one.links},
    )
    return [_event(one, known) for one in told]


def _event(told: _Told, known: set[UUID]) -> RawEvent | Unreadable:
    event = event_of(told.span)
    if isinstance(event, Unreadable):
        return event
    links = {name: str(found) for name, found in told.links.items() if found in known}
    return replace(event, properties={**event.properties, PROPERTY: _kept(told.span) | links})


def _kept(span: Span) -> dict[str, Any]:
    """What only a span has, so that it can be given back."""
    operation = span.attributes.get("gen_ai.operation.name")
    return {
        "name": span.name,
        "operation": operation if isinstance(operation, str) else "",
        "service_name": _text(span.resource.get("service.name")),
        "span_type": _span_type(span),
        "kind": span.kind,
        "status_code": span.status_code,
        "status_message": span.status_message,
        "start_time_ns": span.start_ns,
        "end_time_ns": span.end_ns,
        "duration_ns": max(0, span.end_ns - span.start_ns),
        "attributes": span.attributes,
        "resource_attrs": span.resource,
        "events": [
            {"name": event.name, "time_ns": event.time_ns, "attributes": event.attributes} for event in span.events
        ],
        "links": list(span.links),
        "scope_name": span.scope,
        "scope_version": span.scope_version,
    }


def _span_type(span: Span) -> str:
    attributes = span.attributes
    said = next((attributes[name] for name in ("overmind.span.type", "overmind.span_type") if name in attributes), None)
    if isinstance(said, str) and said:
        return said[:64]
    is_tool = attributes.get("gen_ai.operation.name") == "execute_tool" or "tool.name" in attributes
    return _TOOL_CALL if is_tool else _LLM_CALL


def _links(span: Span) -> dict[str, UUID]:
    found = {name: _named(span, name) for name in LINKS}
    return {name: link for name, link in found.items() if link is not None}


def _named(span: Span, name: str) -> UUID | None:
    """The id that a span gives under any of its names; what the span itself says beats its resource."""
    for source in (span.attributes, span.resource):
        for key in (f"{prefix}{form}" for prefix in _PREFIXES for form in (f"{name}_id", f"{name}.id")):
            value = source.get(key)
            if isinstance(value, str) and (found := _uuid(value)) is not None:
                return found
    return None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def render_span_row(event: StoredEvent, numbers: Numbers) -> SpanRow:
    """A span in a list."""
    return SpanRow.model_construct(**_row_fields(event, numbers))


def render_full_spans(events: Iterable[StoredEvent], numbers: Numbers) -> list[FullSpan]:
    """Spans with all that they said."""
    return [FullSpan.model_construct(**_row_fields(event, numbers), **_more_fields(event)) for event in events]


def _row_fields(event: StoredEvent, numbers: Numbers) -> dict[str, Any]:
    kept = as_object(event.properties.get(PROPERTY))
    tokens = [event.properties.get(name) for name in ("$ai_input_tokens", "$ai_output_tokens")]
    known = [count for count in tokens if isinstance(count, int)]
    return {
        "id": event.uuid,
        "user": numbers.of(None),
        "created_at": event.created_at,
        "project": event.project_id,
        "trace_id": event.trace_id or "",
        "span_id": event.span_id or "",
        "received_at": event.created_at,
        "total_tokens": sum(known) if known else None,
        **{name: kept.get(name) for name in LINKS},
        **{name: kept.get(name, "") for name in ("name", "operation", "service_name", "span_type", "status_message")},
        **{name: kept.get(name, 0) for name in ("kind", "status_code", "start_time_ns", "end_time_ns", "duration_ns")},
    }


def _more_fields(event: StoredEvent) -> dict[str, Any]:
    kept = as_object(event.properties.get(PROPERTY))
    return {
        "parent_span_id": event.parent_id,
        "is_root": event.parent_id is None,
        **{name: kept.get(name, {}) for name in ("attributes", "resource_attrs")},
        **{name: kept.get(name, []) for name in ("events", "links")},
        **{name: kept.get(name, "") for name in ("scope_name", "scope_version")},
    }
