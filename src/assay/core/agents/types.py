"""Agents, their versions, tools, runs and schedules, as the rest of Assay sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, Final, Literal
from uuid import UUID

Json = Any
"""A JSON value, kept and given back as it was sent."""

AGENT_RUN_WORKFLOW = "agent_run"
"""The outbox's name for the workflow that carries a run out."""


def workflow_id(run_id: UUID) -> str:
    """The durable engine's name for a run."""
    return f"{AGENT_RUN_WORKFLOW}/{run_id}"


class RunStatus(StrEnum):
    """Where a run stands (M§5.4)."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    """Being carried out."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INCOMPLETE = "incomplete"
    """Ended by a limit."""

    @property
    def has_ended(self) -> bool:
        """Whether it will not change any more."""
        return self not in _LIVE


_LIVE = frozenset({RunStatus.QUEUED, RunStatus.SUBMITTING})


class RunOrigin(StrEnum):
    """Who started a run."""

    CALLER = "caller"
    SCHEDULE = "schedule"
    APPROVAL = "approval"
    """A decision on a tool call of another run, which this one continues."""
    AGENT = "agent"
    """Another agent's run, through an ``agent`` tool."""
    SAMPLE = "sample"
    """A suite's run, to be scored."""


class ScheduleStatus(StrEnum):
    """Where a schedule stands (M§5.3)."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    """It was to fire once, and has."""
    DELETED = "deleted"


class StepKind(StrEnum):
    """What a step of a run was."""

    MODEL_TURN = "model_turn"
    TOOL_CALL = "tool_call"
    COMPACTION = "compaction"


class _Absent(Enum):
    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT
"""A field that a change leaves alone, where None clears it."""
Absent = Literal[_Absent.ABSENT]


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may use. None: unbounded, which only ``max_cost_usd`` may be."""

    max_turns: int = 50
    """Model turns."""
    max_tool_calls: int = 128
    max_tokens: int = 1_000_000
    """Input and output tokens of all turns together."""
    max_seconds: int = 3_600
    """Wall time since the run was begun, sleeps included."""
    max_cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class AgentConfiguration:
    """What an agent is made of; each version keeps one (M§3.1)."""

    name: str
    model: str
    description: str | None = None
    instructions: str | None = None
    tools: Sequence[Mapping[str, Json]] = ()
    """As sent, in the form of the Responses API; secrets in them are sealed (``sealing``)."""
    tool_choice: Json = None
    parallel_tool_calls: bool = True
    max_tool_calls: int | None = None
    fallback_models: Sequence[str] = ()
    """Tried in order when a call of the model before fails."""
    text: Mapping[str, Json] | None = None
    reasoning: Mapping[str, Json] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class AgentChanges:
    """What a caller wants changed; what is absent stays."""

    name: str | Absent = ABSENT
    model: str | Absent = ABSENT
    description: str | Absent | None = ABSENT
    instructions: str | Absent | None = ABSENT
    tools: Sequence[Mapping[str, Json]] | Absent = ABSENT
    tool_choice: Json | Absent = ABSENT
    parallel_tool_calls: bool | Absent = ABSENT
    max_tool_calls: int | Absent | None = ABSENT
    fallback_models: Sequence[str] | Absent = ABSENT
    text: Mapping[str, Json] | Absent | None = ABSENT
    reasoning: Mapping[str, Json] | Absent | None = ABSENT
    metadata: Mapping[str, str] | Absent = ABSENT


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent in its current configuration."""

    id: UUID
    configuration: AgentConfiguration
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    retention_expires_at: datetime | None
    """Until when it can be restored; None unless deleted."""


@dataclass(frozen=True, slots=True)
class AgentVersion:
    """A configuration that an agent has or had."""

    id: UUID
    agent_id: UUID
    number: int
    is_current: bool
    restored_from: int | None
    configuration: AgentConfiguration
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function definition that agents refer to (M§3.3)."""

    id: UUID
    definition: Mapping[str, Json]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a caller gives to start a run."""

    input: str | Sequence[Mapping[str, Json]]
    conversation: Json = None
    previous_response_id: str | None = None
    context_management: Sequence[Mapping[str, Json]] | None = None
    stream: bool = False
    """Whether its events hold every delta of the model."""
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a run, or one step of it, has used. None means that nobody reported it, which is not 0."""

    input_tokens: int | None = None
    """Includes ``cached_tokens``."""
    cached_tokens: int | None = None
    output_tokens: int | None = None
    """Includes ``reasoning_tokens``."""
    reasoning_tokens: int | None = None
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class AgentRun:
    """A run of an agent (M§3.4)."""

    id: UUID
    project_id: UUID
    agent_id: UUID
    agent_version: int
    origin: RunOrigin
    snapshot: Mapping[str, Json]
    """The agent as it was when the run was made: ``AgentConfiguration`` as JSON, function references resolved."""
    limits: RunLimits
    status: RunStatus
    input: Json
    conversation: Json
    previous_response_id: str | None
    context_management: Sequence[Mapping[str, Json]] | None
    stream: bool
    metadata: Mapping[str, str] | None
    response_id: UUID | None
    """Row id of the response that the run became."""
    response: Mapping[str, Json] | None
    """That response, in the form of the Responses API, as last stored."""
    error: Mapping[str, Json] | None
    """``code`` and ``message``."""
    turns: int
    tool_calls: int
    usage: RunUsage
    sleeping_until: datetime | None
    parent_run_id: UUID | None
    depth: int
    """How many agents' runs are above it."""
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something to tell whoever follows a run: an event of the Responses API without its ``sequence_number``."""

    type: str
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A stored event."""

    sequence: int
    """From 0, without gaps, in the order of storing."""
    type: str
    data: Mapping[str, Json]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunStep:
    """A finished model turn or tool call."""

    key: str
    """Unique in the run, and the same whenever it is tried: ``turn/3``, ``call/<call id>``."""
    kind: StepKind
    position: int
    """From 0, in the order of finishing."""
    items: Sequence[Mapping[str, Json]]
    """What it adds to the conversation, as items of the Responses API."""
    details: Mapping[str, Json]
    """Whatever else the executor needs to go on from here."""
    usage: RunUsage
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Wake:
    """Input that arrived while a run was asleep."""

    id: UUID
    input: Json
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """A tool call that waits for a person, or what that person said; a decision is made once."""

    run_id: UUID
    request_id: str
    call: Mapping[str, Json]
    """Server, tool and arguments, to which the decision is bound."""
    approved: bool | None
    reason: str | None
    continuation_run_id: UUID | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewAgentSchedule:
    """What a caller gives to make a schedule."""

    spec: Mapping[str, Json]
    """``once``, ``interval`` or ``cron``, as sent (M§3.5)."""
    input: str | Sequence[Mapping[str, Json]]
    name: str | None = None
    conversation: Json = None
    previous_response_id: str | None = None
    context_management: Sequence[Mapping[str, Json]] | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class AgentScheduleChanges:
    """What a caller wants changed; what is absent stays."""

    spec: Mapping[str, Json] | Absent = ABSENT
    input: str | Sequence[Mapping[str, Json]] | Absent = ABSENT
    name: str | Absent | None = ABSENT
    conversation: Json | Absent = ABSENT
    previous_response_id: str | Absent | None = ABSENT
    context_management: Sequence[Mapping[str, Json]] | Absent | None = ABSENT
    metadata: Mapping[str, str] | Absent | None = ABSENT


@dataclass(frozen=True, slots=True)
class AgentSchedule:
    """A schedule that starts runs of an agent."""

    id: UUID
    agent_id: UUID
    name: str | None
    status: ScheduleStatus
    spec: Mapping[str, Json]
    input: Json
    conversation: Json
    previous_response_id: str | None
    context_management: Sequence[Mapping[str, Json]] | None
    metadata: Mapping[str, str] | None
    revision: int
    next_due_at: datetime | None
    last_run_at: datetime | None
    last_run_id: UUID | None
    run_count: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """What the installation decides for all agents."""

    retention: timedelta = timedelta(days=30)
    """How long a deleted agent can be restored."""
    limits: RunLimits = field(default_factory=RunLimits)
    max_depth: int = 5
    """How deep agents may call agents."""
