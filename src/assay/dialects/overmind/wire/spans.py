"""Spans of OpenTelemetry (O§2.7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from assay.dialects.overmind.wire.base import Output


class SpanRow(Output):
    """A root span in the list of traces."""

    id: UUID
    user: int
    created_at: datetime
    agent: str | None
    job: str | None
    iteration: str | None
    project: UUID
    trace_id: str
    span_id: str
    name: str
    operation: str
    service_name: str
    span_type: str
    kind: int
    status_code: int
    status_message: str
    start_time_ns: int
    end_time_ns: int
    duration_ns: int
    received_at: datetime
    total_tokens: int | None


class FullSpan(SpanRow):
    """A span with all that it said."""

    parent_span_id: str | None
    is_root: bool
    attributes: dict[str, Any]
    resource_attrs: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[dict[str, Any]]
    scope_name: str
    scope_version: str


class SpanTree(Output):
    """A trace by its id."""

    trace_id: str
    root: FullSpan | None
    span_count: int
    spans: list[FullSpan]


class Ingested(Output):
    """What became of an export."""

    spans_ingested: int
    spans_post_processed: int
