"""OTLP trace exports as plain spans, from protobuf or JSON (OTLP 1.x, `opentelemetry.io/docs/specs/otlp`).

JSON is protobuf's JSON mapping with two exceptions: ids are hexadecimal, and enums are numbers; 64-bit integers may be
texts or numbers, and unknown fields are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from assay.core.capture.decoding import parse
from assay.core.capture.errors import UndecodableError

MAX_VALUE_DEPTH = 32
STATUS_ERROR = 2

_Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span."""

    name: str
    attributes: Mapping[str, Any]
    time_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span, with what its resource and scope say."""

    trace_id: str
    """32 hexadecimal digits; empty where it is not."""
    span_id: str
    """16 hexadecimal digits; empty where it is not."""
    parent_id: str
    """Empty for a root."""
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any] = field(default_factory=dict[str, Any])
    scope: str = ""
    events: Sequence[SpanEvent] = ()
    status_code: int = 0
    status_message: str = ""
    kind: int = 0
    """Of the standard's enum: 1 internal, 2 server, 3 client, 4 producer, 5 consumer."""
    scope_version: str = ""
    links: Sequence[Mapping[str, Any]] = ()
    """Each with ``trace_id``, ``span_id`` and ``attributes``."""


def read_protobuf(body: bytes) -> list[Span]:
    """The spans of a protobuf export.

    Raises:
        UndecodableError: It is none.
    """
    message = ExportTraceServiceRequest()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise UndecodableError("The body is not a protobuf ExportTraceServiceRequest.") from error
    return [
        _from_message(span, _attributes(resource.resource.attributes), scope.scope.name, scope.scope.version)
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def read_json(body: bytes) -> list[Span]:
    """The spans of a JSON export.

    Raises:
        UndecodableError: It is none.
    """
    whole = parse(body)
    if not isinstance(whole, dict):
        raise UndecodableError("The body must be a JSON object with `resourceSpans`.")
    found: list[Span] = []
    for resource in _objects(cast("_Attributes", whole), "resourceSpans"):
        described = _json_attributes(_object(resource, "resource"))
        for scope in _objects(resource, "scopeSpans"):
            name = _text(_object(scope, "scope").get("name"))
            found += [_from_json(span, described, name) for span in _objects(scope, "spans")]
    return found


def _from_message(span: trace_pb2.Span, resource: Mapping[str, Any], scope: str, scope_version: str) -> Span:
    return Span(
        trace_id=_hexadecimal(span.trace_id.hex(), 32),
        span_id=_hexadecimal(span.span_id.hex(), 16),
        parent_id=_hexadecimal(span.parent_span_id.hex(), 16),
        name=span.name,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        resource=resource,
        scope=scope,
        events=[SpanEvent(event.name, _attributes(event.attributes), event.time_unix_nano) for event in span.events],
        status_code=span.status.code,
        status_message=span.status.message,
        kind=span.kind,
        scope_version=scope_version,
        links=[
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ],
    )


def _attributes(pairs: Iterable[KeyValue]) -> _Attributes:
    return {pair.key: _value(pair.value, MAX_VALUE_DEPTH) for pair in pairs}


def _value(value: AnyValue, depth: int) -> Any:
    kind = value.WhichOneof("value")
    match kind:
        case None:
            return None
        case "array_value":
            return [_value(item, depth - 1) for item in value.array_value.values] if depth else None
        case "kvlist_value":
            pairs = value.kvlist_value.values if depth else ()
            return {pair.key: _value(pair.value, depth - 1) for pair in pairs}
        case "bytes_value":
            return value.bytes_value.hex()
        case _:
            return _finite(getattr(value, kind))


def _from_json(span: _Attributes, resource: Mapping[str, Any], scope: str) -> Span:
    status = _object(span, "status")
    return Span(
        trace_id=_hexadecimal(_text(span.get("traceId")), 32),
        span_id=_hexadecimal(_text(span.get("spanId")), 16),
        parent_id=_hexadecimal(_text(span.get("parentSpanId")), 16),
        name=_text(span.get("name")),
        start_ns=_integer(span.get("startTimeUnixNano")),
        end_ns=_integer(span.get("endTimeUnixNano")),
        attributes=_json_attributes(span),
        resource=resource,
        scope=scope,
        events=[SpanEvent(_text(event.get("name")), _json_attributes(event)) for event in _objects(span, "events")],
        status_code=STATUS_ERROR if status.get("code") in (STATUS_ERROR, "STATUS_CODE_ERROR") else 0,
        status_message=_text(status.get("message")),
    )


def _json_attributes(owner: _Attributes) -> _Attributes:
    return dict(_json_pairs(_objects(owner, "attributes"), MAX_VALUE_DEPTH))


def _json_pairs(pairs: Iterable[_Attributes], depth: int) -> Iterator[tuple[str, Any]]:
    for pair in pairs:
        if isinstance(pair.get("key"), str):
            yield pair["key"], _json_value(pair.get("value"), depth)


def _json_value(value: Any, depth: int) -> Any:
    if not isinstance(value, dict) or not depth:
        return None
    fields = cast("_Attributes", value)
    if isinstance(fields.get("arrayValue"), dict):
        items = fields["arrayValue"].get("values")
        return [_json_value(item, depth - 1) for item in cast("list[Any]", items)] if isinstance(items, list) else []
    if isinstance(fields.get("kvlistValue"), dict):
        return dict(_json_pairs(_objects(fields["kvlistValue"], "values"), depth - 1))
    if "intValue" in fields:
        return _integer(fields["intValue"])
    if "doubleValue" in fields:
        return _number(fields["doubleValue"])
    return next((fields[name] for name in ("stringValue", "boolValue", "bytesValue") if name in fields), None)


def _hexadecimal(text: str, digits: int) -> str:
    """An id in lower case; empty for one of another length or alphabet, and for all zeros, which means none."""
    text = text.lower()
    is_id = len(text) == digits and not set(text) - set("0123456789abcdef") and text.strip("0")
    return text if is_id else ""


def _object(owner: Mapping[str, Any], name: str) -> _Attributes:
    value = owner.get(name)
    return cast("_Attributes", value) if isinstance(value, dict) else {}


def _objects(owner: Mapping[str, Any], name: str) -> list[_Attributes]:
    value = owner.get(name)
    if not isinstance(value, list):
        return []
    return [cast("_Attributes", item) for item in cast("list[Any]", value) if isinstance(item, dict)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: Any) -> int:
    if isinstance(value, str) and len(value) <= 20:
        try:
            return int(value)
        except ValueError:
            return 0
    return int(value) if isinstance(value, int | float) and abs(value) < 2**64 else 0


def _number(value: Any) -> float | None:
    """Numbers, and the texts that JSON has for what is none: ``"NaN"``, ``"Infinity"``."""
    return _finite(float(value)) if isinstance(value, int | float) else None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
