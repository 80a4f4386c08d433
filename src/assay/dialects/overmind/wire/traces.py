"""Trace and span records of client-run jobs (O§2.7, legacy)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from assay.dialects.overmind.wire.base import Id, Input, Integer, Name255, Number, Output, Text128, Text255

MAX_RECORDS = 1_000


class SpanType(StrEnum):
    """What was called."""

    LLM_CALL = "llm_call"
    TOOL_CALL = "tool_call"


class TraceInput(Input):
    """A trace record to make."""

    trace_id: Name255
    agent: Id
    trace_group: Text128 = ""
    job: Id | None = None
    iteration: Id | None = None
    input_data: Any = None
    output_data: Any = None
    total_latency_ms: Number = 0.0
    total_tokens: Integer = 0
    total_cost: Number = 0.0
    score: Number = 0.0
    start_time: Number = 0.0
    end_time: Number = 0.0
    error: str | None = None


class TraceBatch(Input):
    """Trace records to make, under the one name that a list in a body has here."""

    records: Annotated[list[TraceInput], Field(max_length=MAX_RECORDS)]


class Trace(Output):
    """A trace record."""

    id: UUID
    created_at: datetime
    user: int
    trace_id: str
    trace_group: str
    agent: UUID
    job: UUID | None
    iteration: UUID | None
    input_data: Any
    output_data: Any
    total_latency_ms: float
    total_tokens: int
    total_cost: float
    score: float
    start_time: float
    end_time: float
    error: str | None


class CreatedCount(Output):
    """How many were made."""

    created: int


class SpanInput(Input):
    """A span to make."""

    name: Name255
    span_type: Annotated[SpanType, Field(strict=False)]
    trace: Text255 = ""
    order: Integer = 0
    start_time: Number = 0.0
    end_time: Number = 0.0
    latency_ms: Number = 0.0
    metadata: Any = None
    error: str | None = None


class Span(Output):
    """A span."""

    id: UUID
    created_at: datetime
    user: int
    trace: str
    span_type: SpanType
    name: str
    order: int
    start_time: float
    end_time: float
    latency_ms: float
    metadata: Any
    error: str | None
