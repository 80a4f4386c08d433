"""Agents, versions, function tools, runs and schedules (M§3.1 to 3.5).

Where the contract leaves JSON free (tools, input items, tool choices) it is kept and given back as it was sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from assay.dialects.mka1.wire.base import RequestModel, ResponseModel

IsoTime = Annotated[str, Field(description="ISO 8601, in UTC, with Z.", json_schema_extra={"format": "date-time"})]
Items = list[dict[str, Any]]
Input = Annotated[str, Field(min_length=1, max_length=20_000)] | Annotated[Items, Field(max_length=1_000)]
Metadata = dict[str, str]
Tool = dict[str, Any]
Name = Annotated[str, Field(min_length=1, max_length=255)]
ModelName = Annotated[str, Field(min_length=1, max_length=255)]


class TextFormat(RequestModel):
    """What form answers have."""

    type: Literal["text", "json_object"]


class TextConfiguration(RequestModel):
    """How answers are written."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningConfiguration(RequestModel):
    """How much is thought before answering."""

    effort: Literal["low", "medium", "high"] | None = None


class CreateAgent(RequestModel):
    """Body of ``POST /agents``."""

    name: Name
    model: ModelName
    description: Annotated[str | None, Field(max_length=10_000)] = None
    instructions: Annotated[str | None, Field(max_length=500_000)] = None
    tools: Annotated[list[Tool], Field(max_length=128)] = Field(default_factory=list[Tool])
    tool_choice: Any = None
    parallel_tool_calls: bool = True
    max_tool_calls: Annotated[int | None, Field(ge=1, le=300)] = None
    fallback_models: Annotated[list[ModelName], Field(max_length=20)] = Field(default_factory=list[str])
    text: TextConfiguration | None = None
    reasoning: ReasoningConfiguration | None = None
    metadata: Metadata = Field(default_factory=dict[str, str])


class UpdateAgent(RequestModel):
    """Body of ``POST /agents/{agent_id}``. Only what is sent counts; the defaults here mean nothing."""

    name: Name = ""
    model: ModelName = ""
    description: Annotated[str | None, Field(max_length=10_000)] = None
    instructions: Annotated[str | None, Field(max_length=500_000)] = None
    tools: Annotated[list[Tool], Field(max_length=128)] = Field(default_factory=list[Tool])
    tool_choice: Any = None
    parallel_tool_calls: bool = True
    max_tool_calls: Annotated[int | None, Field(ge=1, le=300)] = None
    fallback_models: Annotated[list[ModelName], Field(max_length=20)] = Field(default_factory=list[str])
    text: TextConfiguration | None = None
    reasoning: ReasoningConfiguration | None = None
    metadata: Metadata = Field(default_factory=dict[str, str])


class WireConfiguration(ResponseModel):
    """What an agent and a version of it have in common."""

    name: str
    description: str | None
    model: str
    instructions: str | None
    tools: list[Tool]
    tool_choice: Any
    parallel_tool_calls: bool
    max_tool_calls: int | None
    fallback_models: list[str]
    text: dict[str, Any] | None
    reasoning: dict[str, Any] | None
    metadata: Metadata


class WireAgent(WireConfiguration):
    """An agent in its current configuration."""

    id: str
    object: Literal["agent"]
    version: int
    created_at: IsoTime
    updated_at: IsoTime
    deleted_at: IsoTime | None
    retention_expires_at: IsoTime | None
    within_restore_window: bool
    can_restore: bool


class WireAgentVersion(WireConfiguration):
    """A configuration that an agent has or had."""

    id: str
    object: Literal["agent.version"]
    agent_id: str
    version: int
    is_current: bool
    restored_from_version: int | None
    created_at: IsoTime


class WireAgentDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["agent.deleted"]
    deleted: bool


class FunctionDefinition(RequestModel):
    """Body of ``POST /agents/function-tools``: a function. Other keys are kept."""

    model_config = ConfigDict(extra="allow")

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    parameters: dict[str, Any]
    description: str | None = None
    strict: bool = True
    defer_loading: bool | None = None


class WireFunctionTool(ResponseModel):
    """A function tool."""

    id: str
    object: Literal["agent.function_tool"]
    definition: dict[str, Any]
    created_at: IsoTime
    updated_at: IsoTime


class WireFunctionToolDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["agent.function_tool.deleted"]
    deleted: bool


class Compaction(RequestModel):
    """When to sum up older history."""

    type: Literal["compaction"]
    compact_threshold: Annotated[int | None, Field(ge=1_000, le=2**53 - 1)] = None
    """In tokens."""


ContextManagement = Annotated[list[Compaction] | None, Field(max_length=10)]
ResponseId = Annotated[str | None, Field(min_length=1, max_length=255)]


class CreateAgentRun(RequestModel):
    """Body of ``POST /agents/{agent_id}/runs``."""

    input: Input
    conversation: Any = None
    previous_response_id: ResponseId = None
    context_management: ContextManagement = None
    stream: bool = False
    metadata: Metadata | None = None


class WireAgentRun(ResponseModel):
    """A run."""

    id: str
    object: Literal["agent.run"]
    agent_id: str
    agent_version: int | None
    status: str
    input: Any
    conversation: Any
    previous_response_id: str | None
    metadata: Metadata | None
    gateway_response_id: str | None
    gateway_response: Any
    error: Any
    created_at: IsoTime
    completed_at: IsoTime | None


class WakeAgentRun(RequestModel):
    """Body of ``POST …/wake``."""

    input: Input


class WireAgentRunWake(ResponseModel):
    """What woke a run."""

    object: Literal["agent.run.wake"]
    run_id: str
    gateway_response_id: str
    gateway_wake: dict[str, Any]


class DecideApproval(RequestModel):
    """Body of ``POST …/mcp-approvals``."""

    approval_request_id: Annotated[str, Field(min_length=1, max_length=255)]
    approve: bool
    reason: Annotated[str | None, Field(max_length=2_000)] = None


class WireApproval(ResponseModel):
    """A decision, and the run that goes on with it."""

    object: Literal["agent.run.mcp_approval"]
    approval_request_id: str
    approved: bool
    source_run_id: str
    continuation_run: WireAgentRun


class OnceSpec(RequestModel):
    """Due once."""

    type: Literal["once"]
    run_at: str
    timezone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"


class IntervalSpec(RequestModel):
    """Due again and again, from a start."""

    type: Literal["interval"]
    interval_seconds: Annotated[int, Field(ge=1, le=31_536_000)]
    start_at: str | None = None
    timezone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"


class CronSpec(RequestModel):
    """Due at local times."""

    type: Literal["cron"]
    cron_expression: Annotated[str, Field(min_length=1, max_length=255)]
    timezone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"


ScheduleSpec = Annotated[OnceSpec | IntervalSpec | CronSpec, Field(discriminator="type")]
ScheduleName = Annotated[str | None, Field(min_length=1, max_length=120)]


class CreateAgentSchedule(RequestModel):
    """Body of ``POST /agents/{agent_id}/schedules``."""

    schedule: ScheduleSpec
    input: Input
    name: ScheduleName = None
    conversation: Any = None
    previous_response_id: ResponseId = None
    context_management: ContextManagement = None
    metadata: Metadata | None = None


class UpdateAgentSchedule(RequestModel):
    """Body of ``POST …/schedules/{schedule_id}``. Only what is sent counts; the defaults here mean nothing."""

    schedule: ScheduleSpec = Field(default_factory=lambda: CronSpec.model_construct(type="cron"))
    input: Input = ""
    name: ScheduleName = None
    conversation: Any = None
    previous_response_id: ResponseId = None
    context_management: ContextManagement = None
    metadata: Metadata = Field(default_factory=dict[str, str])


class WireAgentSchedule(ResponseModel):
    """A schedule that starts runs of an agent."""

    id: str
    object: Literal["agent.schedule"]
    agent_id: str
    name: str | None
    status: str
    schedule: dict[str, Any]
    input: Any
    conversation: Any
    previous_response_id: str | None
    context_management: list[dict[str, Any]] | None
    metadata: Metadata | None
    temporal_schedule_id: str | None
    last_run_at: IsoTime | None
    last_run_id: str | None
    run_count: int
    created_at: IsoTime
    updated_at: IsoTime
    deleted_at: IsoTime | None


class WireAgentScheduleDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["agent.schedule.deleted"]
    deleted: bool
