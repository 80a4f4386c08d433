"""A span as the AI event it becomes (P§6.5).

A call of a model is a generation or an embedding, the root of a trace that is neither is the trace itself, and every
other span is a step. The event's uuid derives from the span's ids, so an export that is sent again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from assay.core.capture.otlp import genai, openinference
from assay.core.capture.otlp.readings import Reading, first
from assay.core.capture.otlp.spans import STATUS_ERROR, Span
from assay.core.capture.types import Fault, RawEvent, Unreadable
from assay.core.events.types import EMBEDDING, GENERATION, SPAN, TRACE

_NAMESPACE = UUID("5f1c7f0e-2d43-5a86-9b1a-6d1b52a1c0de")
_PERSONS = ("posthog.distinct_id", "user.id", "enduser.id", "langfuse.user.id")
_SESSIONS = ("session.id", "langfuse.session.id")
_KEPT_OF_RESOURCE = ("service.name", "service.version", "deployment.environment.name", "deployment.environment")
_COUNTS = frozenset(
    {
        "$ai_input_tokens",
        "$ai_output_tokens",
        "$ai_cache_read_input_tokens",
        "$ai_cache_creation_input_tokens",
        "$ai_reasoning_tokens",
    }
)
_NO_IDS = Unreadable(
    fault=Fault.NOT_AN_OBJECT, reason="a span has no valid ids; a trace id is 16 bytes and a span id 8, not all zero"
)


def event_of(span: Span) -> RawEvent | Unreadable:
    """The event of a span."""
    if not (span.trace_id and span.span_id):
        return _NO_IDS
    reading = (openinference if openinference.speaks(span.attributes) else genai).read(span)
    event = TRACE if reading.event == SPAN and not span.parent_id else reading.event
    person = _person(span)
    properties = _properties(span, reading, event)
    if person is None:
        properties["$process_person_profile"] = False
    return RawEvent(
        event=event,
        distinct_id=span.trace_id if person is None else person,
        uuid=str(uuid5(_NAMESPACE, f"{span.trace_id}/{span.span_id}")),
        timestamp=_moment(span.start_ns),
        properties=properties,
        is_clock_right=True,
    )


def _person(span: Span) -> str | None:
    found = first({**span.resource, **span.attributes}, _PERSONS)
    text = str(found).strip() if isinstance(found, str | int | float) else ""
    return text or None


def _properties(span: Span, reading: Reading, event: str) -> dict[str, Any]:
    names = {GENERATION: ("$ai_input", "$ai_output_choices"), EMBEDDING: ("$ai_input", None)}
    input_name, output_name = names.get(event, ("$ai_input_state", "$ai_output_state"))
    properties: dict[str, Any] = {
        **_unmapped(span),
        "$ai_trace_id": span.trace_id,
        "$ai_span_id": span.span_id,
        "$ai_span_name": span.name,
        "$ai_lib": f"opentelemetry/{span.scope}".rstrip("/"),
        **{name: _count(value) if name in _COUNTS else value for name, value in reading.properties.items()},
    }
    if span.parent_id:
        properties["$ai_parent_id"] = span.parent_id
    if (session := first({**span.resource, **span.attributes}, _SESSIONS)) is not None:
        properties.setdefault("$ai_session_id", session)
    if span.end_ns >= span.start_ns > 0:
        properties["$ai_latency"] = (span.end_ns - span.start_ns) / 1e9
    if reading.input is not None:
        properties[input_name] = reading.input
    if reading.output is not None and output_name is not None:
        properties[output_name] = reading.output
    return properties | _failure(span) | _own_words(span.attributes)


def _unmapped(span: Span) -> dict[str, Any]:
    """Attributes that no property says, under their own names."""
    prefixes = openinference.PREFIXES if openinference.speaks(span.attributes) else genai.PREFIXES
    kept = {name: value for name, value in span.attributes.items() if not name.startswith(prefixes)}
    return {name: span.resource[name] for name in _KEPT_OF_RESOURCE if name in span.resource} | kept


def _failure(span: Span) -> dict[str, Any]:
    exceptions = [event.attributes for event in span.events if event.name == "exception"]
    kind = span.attributes.get("error.type")
    if span.status_code != STATUS_ERROR and kind is None:
        return {}
    said = exceptions[-1].get("exception.message") if exceptions else None
    return {"$ai_is_error": True, "$ai_error": span.status_message or said or kind or "error"}


def _own_words(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Properties that a sender who knows AI events put into attributes as they are."""
    return {name: value for name, value in attributes.items() if name.startswith("$")}


def _count(value: Any) -> Any:
    """A number of tokens; some writers send texts."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16 else value


def _moment(nanoseconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat() if nanoseconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None
