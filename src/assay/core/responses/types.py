"""Responses as the rest of Assay sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from assay.core.agents.sealing import ToolSealer
from assay.core.agents.types import AgentPolicy, RunLimits
from assay.gateway.catalog import Catalog
from assay.outbound.policy import OutboundPolicy

RESPONSE_WORKFLOW = "response"
"""The outbox's name for the workflow that carries a response out."""
MAX_FALLBACK_MODELS = 5


def workflow_id(response_id: UUID) -> str:
    """The durable engine's name for a response that belongs to no run."""
    return f"{RESPONSE_WORKFLOW}/{response_id}"


class ResponseStatus(StrEnum):
    """Where a response stands (M§3.7)."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INCOMPLETE = "incomplete"
    """Ended by a limit."""

    @property
    def has_ended(self) -> bool:
        """Whether it will not change any more."""
        return self not in {ResponseStatus.QUEUED, ResponseStatus.IN_PROGRESS}


class StepKind(StrEnum):
    """What a step is."""

    LIST_TOOLS = "list_tools"
    MODEL_TURN = "model_turn"
    TOOL_CALL = "tool_call"
    COMPACTION = "compaction"


class StepStatus(StrEnum):
    """How far a step is."""

    PENDING = "pending"
    STARTED = "started"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class ResponseTools:
    """What responses are made with."""

    catalog: Catalog
    outbound: OutboundPolicy
    sealer: ToolSealer
    policy: AgentPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResponse:
    """What a caller gives to make a response."""

    model: str
    input: str | Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Everything else that shapes the turns, by the names of the Responses API: ``instructions``, ``temperature``, …"""
    tools: Sequence[Mapping[str, Any]] = ()
    conversation_id: UUID | None = None
    previous_id: UUID | None = None
    background: bool = False
    stored: bool = True
    metadata: Mapping[str, str] | None = None
    max_tool_calls: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a response has used; None means that nobody reported it."""

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response (M§3.7)."""

    id: UUID
    status: ResponseStatus
    model: str
    resolved_model: str | None
    resolved_provider: str | None
    settings: Mapping[str, Any]
    tools: Sequence[Mapping[str, Any]]
    """As they were sent, secrets hidden."""
    output: Sequence[Mapping[str, Any]]
    conversation_id: UUID | None
    previous_id: UUID | None
    background: bool
    stored: bool
    metadata: Mapping[str, str]
    max_tool_calls: int | None
    error: Mapping[str, Any] | None
    """``code`` and ``message``."""
    incomplete_reason: str | None
    spent: Spent
    sleeping_until: datetime | None
    run_id: UUID | None
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ContextItem:
    """An item that a model is told of."""

    item: Mapping[str, Any]
    turn: tuple[UUID, int] | None
    """Which model turn it belongs to, as (response, number); None for what clients sent."""


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """What one response may use."""

    limits: RunLimits
    max_output_tokens: int | None = None
    """Of all turns together."""
