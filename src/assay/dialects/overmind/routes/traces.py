"""Trace and span records of client-run jobs (O§2.7, legacy)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.jobs import traces as service
from assay.core.jobs.models import SpanRecordRow, TraceRecordRow
from assay.core.projects.types import Principal
from assay.db.listing import Comparison
from assay.dialects.overmind.mapping import SPAN_NAMES, TRACE_NAMES, render_span, render_trace
from assay.dialects.overmind.people import load_numbers
from assay.dialects.overmind.query import (
    Filters,
    choice_of,
    integer_of,
    number_of,
    read_query,
    read_slice,
    render_page,
    text_of,
    uuid_of,
)
from assay.dialects.overmind.route import JobReader, JobWriter, Resource, Session, read_body, read_id
from assay.dialects.overmind.wire.base import Page, parse, sent
from assay.dialects.overmind.wire.traces import (
    CreatedCount,
    Span,
    SpanInput,
    SpanType,
    Trace,
    TraceBatch,
    TraceInput,
)

TRACE_FILTERS = Filters(
    parameters={
        "agent": uuid_of("agent"),
        "job": uuid_of("job"),
        "iteration": uuid_of("iteration"),
        "trace_id": text_of("trace_id"),
        "trace_group": text_of("trace_group"),
        "latency_min": number_of("total_latency_ms", Comparison.AT_LEAST),
        "latency_max": number_of("total_latency_ms", Comparison.AT_MOST),
        "tokens_min": integer_of("total_tokens", Comparison.AT_LEAST),
        "tokens_max": integer_of("total_tokens", Comparison.AT_MOST),
    },
    order=("created_at", "trace_id", "trace_group", "score", "total_latency_ms", "total_tokens", "total_cost"),
)
SPAN_FILTERS = Filters(
    parameters={"trace": text_of("trace"), "span_type": choice_of("span_type", SpanType)},
    order=("created_at", "order", "name"),
)

traces = Resource(tag="traces")
spans = Resource(tag="spans")


async def list_traces(request: Request, session: Session, principal: JobReader) -> Any:
    """Records, newest first."""
    part = read_slice(request)
    found = await service.list_traces(session, principal, read_query(request, TRACE_FILTERS), part)
    return render_page(request, part, found.count, await _render_traces(session, principal, found.rows))


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


async def get_trace(row_id: str, session: Session, principal: JobReader) -> Trace:
    """A record by its own id."""
    row = await service.find_trace(session, principal, read_id(row_id))
    return (await _render_traces(session, principal, [row]))[0]


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


traces.add("GET", "/traces/", list_traces, name="traces_list", gives=Page[Trace], filters=TRACE_FILTERS)
traces.add("POST", "/traces/", create_trace, name="traces_create", status_code=201, body=TraceInput, gives=Trace)
traces.add("POST", "/traces/bulk_create/", create_many, name="traces_bulk_create", status_code=201, gives=CreatedCount)
traces.add("GET", "/traces/{row_id}/", get_trace, name="traces_retrieve", gives=Trace)
traces.add("DELETE", "/traces/{row_id}/", delete_trace, name="traces_destroy", status_code=204)
spans.add("GET", "/spans/", list_spans, name="spans_list", gives=Page[Span], filters=SPAN_FILTERS)
spans.add("POST", "/spans/", create_span, name="spans_create", status_code=201, body=SpanInput, gives=Span)
spans.add("GET", "/spans/{row_id}/", get_span, name="spans_retrieve", gives=Span)
