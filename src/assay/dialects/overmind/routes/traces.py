"""Traces: spans of OpenTelemetry, and the trace and span records of client-run jobs (O§2.7).

Both are in one list, spans first. A filter that only one sort knows leaves the other out. A trace is read by its
hexadecimal id, a record by the UUID that we gave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.events import spans as spans_service
from assay.core.events.types import StoredEvent
from assay.core.jobs import traces as service
from assay.core.jobs.models import SpanRecordRow, TraceRecordRow
from assay.core.projects.types import Principal
from assay.db.listing import Comparison
from assay.db.slices import Counted, Slice
from assay.dialects.overmind.mapping import SPAN_NAMES, TRACE_NAMES, render_span, render_trace
from assay.dialects.overmind.people import load_numbers
from assay.dialects.overmind.query import (
    Filters,
    choice_of,
    integer_of,
    moment_of,
    names_any,
    number_of,
    one_of,
    read_query,
    read_slice,
    render_page,
    scaled_of,
    text_of,
    uuid_of,
    uuid_text_of,
    yes_or_no,
)
from assay.dialects.overmind.route import JobReader, JobWriter, Resource, Session, read_body, read_id
from assay.dialects.overmind.spans import render_full_spans, render_span_row
from assay.dialects.overmind.wire.base import Page, parse, sent
from assay.dialects.overmind.wire.spans import SpanRow, SpanTree
from assay.dialects.overmind.wire.traces import (
    CreatedCount,
    Span,
    SpanInput,
    SpanType,
    Trace,
    TraceBatch,
    TraceInput,
)

RECORD_ONLY = {
    "trace_group": text_of("trace_group"),
    "latency_min": number_of("total_latency_ms", Comparison.AT_LEAST),
    "latency_max": number_of("total_latency_ms", Comparison.AT_MOST),
    "tokens_min": integer_of("total_tokens", Comparison.AT_LEAST),
    "tokens_max": integer_of("total_tokens", Comparison.AT_MOST),
}
OTEL_ONLY = {
    "span_id": text_of("span_id"),
    "name": text_of("name"),
    "operation": text_of("operation"),
    "span_type": text_of("span_type"),
    "service_name": text_of("service_name", Comparison.CONTAINS),
    "service_name__in": one_of("service_name"),
    "kind": integer_of("kind"),
    "status_code": integer_of("status_code"),
    "has_error": yes_or_no("status_code", yes=[2], no=[0, 1]),
    "duration_ns__gte": integer_of("duration_ns", Comparison.AT_LEAST),
    "duration_ns__lte": integer_of("duration_ns", Comparison.AT_MOST),
    "min_duration_ms": scaled_of("duration_ns", Comparison.AT_LEAST, 1_000_000),
    "max_duration_ms": scaled_of("duration_ns", Comparison.AT_MOST, 1_000_000),
    "received_at__gte": moment_of("received_at", Comparison.AT_LEAST),
    "received_at__lte": moment_of("received_at", Comparison.AT_MOST),
}
RECORD_FILTERS = Filters(
    parameters={
        "agent": uuid_of("agent"),
        "job": uuid_of("job"),
        "iteration": uuid_of("iteration"),
        "trace_id": text_of("trace_id"),
        **RECORD_ONLY,
    },
    order=("created_at", "trace_id", "trace_group", "score", "total_latency_ms", "total_tokens", "total_cost"),
)
OTEL_FILTERS = Filters(
    parameters={
        "agent": uuid_text_of("agent"),
        "job": uuid_text_of("job"),
        "iteration": uuid_text_of("iteration"),
        "trace_id": text_of("trace_id"),
        **OTEL_ONLY,
    },
    order=("start_time_ns", "duration_ns", "received_at", "name", "service_name"),
)
TRACE_FILTERS = Filters(
    parameters={**OTEL_FILTERS.parameters, **RECORD_FILTERS.parameters},
    order=(*OTEL_FILTERS.order, *RECORD_FILTERS.order),
)
MAX_TRACE_ID_CHARACTERS = 64
SPAN_FILTERS = Filters(
    parameters={"trace": text_of("trace"), "span_type": choice_of("span_type", SpanType)},
    order=("created_at", "order", "name"),
)

traces = Resource(tag="traces")
spans = Resource(tag="spans")


async def list_traces(request: Request, session: Session, principal: JobReader) -> Any:
    """Root spans, the last to start first; then records, newest first."""
    part = read_slice(request)
    roots = await _list_roots(request, session, principal, part)
    offset = max(0, part.offset - roots.count)
    rest = Slice(limit=part.limit - len(roots.rows), offset=offset)
    records = await _list_records(request, session, principal, rest)
    numbers = await load_numbers(session, principal, ())
    shown: list[BaseModel] = [render_span_row(event, numbers) for event in roots.rows]
    shown += await _render_traces(session, principal, records.rows)
    return render_page(request, part, roots.count + records.count, shown)


async def _list_roots(
    request: Request, session: AsyncSession, principal: Principal, part: Slice
) -> Counted[StoredEvent]:
    query = read_query(request, OTEL_FILTERS)
    if names_any(request, RECORD_ONLY):
        return Counted(0, [])
    return await spans_service.list_roots(session, principal, query, part)


async def _list_records(
    request: Request, session: AsyncSession, principal: Principal, part: Slice
) -> Counted[TraceRecordRow]:
    query = read_query(request, RECORD_FILTERS)
    if names_any(request, OTEL_ONLY):
        return Counted(0, [])
    return await service.list_traces(session, principal, query, part)


async def list_services(request: Request, session: Session, principal: JobReader) -> Any:
    """Names of the services that sent spans."""
    part = read_slice(request)
    names = await spans_service.list_services(session, principal)
    return render_page(request, part, len(names), names[part.offset : part.offset + part.limit])


async def create_trace(request: Request, session: Session, principal: JobWriter) -> Trace:
    """Keep a record."""
    wire = parse(TraceInput, await read_body(request))
    rows = await service.create_traces(session, principal, [sent(wire, TRACE_NAMES)])
    return (await _render_traces(session, principal, rows))[0]


async def create_many(request: Request, session: Session, principal: JobWriter) -> CreatedCount:
    """Keep records, all or none; the body is their list."""
    wire = parse(TraceBatch, {"records": await read_body(request)})
    rows = await service.create_traces(session, principal, [sent(record, TRACE_NAMES) for record in wire.records])
    return CreatedCount(created=len(rows))


async def get_trace(row_id: str, session: Session, principal: JobReader) -> Trace | SpanTree:
    """A trace by its hexadecimal id, or a record by its own."""
    if "-" not in row_id:
        tree = await _read_tree(row_id.lower(), session, principal)
        if tree is not None:
            return tree
    row = await service.find_trace(session, principal, read_id(row_id))
    return (await _render_traces(session, principal, [row]))[0]


async def _read_tree(trace_id: str, session: AsyncSession, principal: Principal) -> SpanTree | None:
    if not 0 < len(trace_id) <= MAX_TRACE_ID_CHARACTERS or set(trace_id) - set("0123456789abcdef"):
        return None
    events = await spans_service.read_spans(session, principal, trace_id)
    if not events:
        return None
    spans = render_full_spans(events, await load_numbers(session, principal, ()))
    root = next((span for span in spans if span.is_root), None)
    return SpanTree.model_construct(trace_id=trace_id, root=root, span_count=len(spans), spans=spans)


async def delete_trace(row_id: str, session: Session, principal: JobWriter) -> Response:
    """Delete a record."""
    await service.delete_trace(session, principal, read_id(row_id))
    return Response(status_code=204)


async def list_spans(request: Request, session: Session, principal: JobReader) -> Any:
    """Spans, newest first."""
    part = read_slice(request)
    found = await service.list_spans(session, principal, read_query(request, SPAN_FILTERS), part)
    return render_page(request, part, found.count, await _render_spans(session, principal, found.rows))


async def create_span(request: Request, session: Session, principal: JobWriter) -> Span:
    """Keep a span."""
    wire = parse(SpanInput, await read_body(request))
    row = await service.create_span(session, principal, sent(wire, SPAN_NAMES))
    return (await _render_spans(session, principal, [row]))[0]


async def get_span(row_id: str, session: Session, principal: JobReader) -> Span:
    """A span by its own id."""
    row = await service.find_span(session, principal, read_id(row_id))
    return (await _render_spans(session, principal, [row]))[0]


async def _render_traces(session: AsyncSession, principal: Principal, rows: Sequence[TraceRecordRow]) -> list[Trace]:
    numbers = await load_numbers(session, principal, (row.created_by for row in rows))
    return [render_trace(row, numbers) for row in rows]


async def _render_spans(session: AsyncSession, principal: Principal, rows: Sequence[SpanRecordRow]) -> list[Span]:
    numbers = await load_numbers(session, principal, (row.created_by for row in rows))
    return [render_span(row, numbers) for row in rows]


traces.add("GET", "/traces/", list_traces, name="traces_list", gives=Page[SpanRow | Trace], filters=TRACE_FILTERS)
traces.add("POST", "/traces/", create_trace, name="traces_create", status_code=201, body=TraceInput, gives=Trace)
traces.add("POST", "/traces/bulk_create/", create_many, name="traces_bulk_create", status_code=201, gives=CreatedCount)
traces.add("GET", "/traces/services/", list_services, name="traces_services", gives=Page[str])
traces.add("GET", "/traces/{row_id}/", get_trace, name="traces_retrieve", gives=Trace | SpanTree)
traces.add("DELETE", "/traces/{row_id}/", delete_trace, name="traces_destroy", status_code=204)
spans.add("GET", "/spans/", list_spans, name="spans_list", gives=Page[Span], filters=SPAN_FILTERS)
spans.add("POST", "/spans/", create_span, name="spans_create", status_code=201, body=SpanInput, gives=Span)
spans.add("GET", "/spans/{row_id}/", get_span, name="spans_retrieve", gives=Span)
