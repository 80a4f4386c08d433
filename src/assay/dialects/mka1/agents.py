"""Between the core's agents and the dialect's JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from assay.core.agents.runs import Decision
from assay.core.agents.sealing import show_tools
from assay.core.agents.types import (
    Agent,
    AgentChanges,
    AgentConfiguration,
    AgentRun,
    AgentSchedule,
    AgentScheduleChanges,
    AgentVersion,
    FunctionTool,
    NewAgentSchedule,
    NewRun,
    ScheduleStatus,
    Wake,
)
from assay.core.projects.types import Principal, Scope
from assay.dialects.mka1.identifiers import Prefix, read_id, write_id
from assay.dialects.mka1.wire.agents import (
    CreateAgent,
    CreateAgentRun,
    CreateAgentSchedule,
    FunctionDefinition,
    UpdateAgent,
    UpdateAgentSchedule,
    WireAgent,
    WireAgentRun,
    WireAgentRunWake,
    WireAgentSchedule,
    WireAgentVersion,
    WireApproval,
    WireFunctionTool,
)
from assay.kit.clock import utc_now

_CLOCKED = frozenset({ScheduleStatus.ACTIVE, ScheduleStatus.PAUSED})


def iso(moment: datetime) -> str:
    """ISO 8601 with milliseconds and ``Z`` (M§1.10)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(moment: datetime | None) -> str | None:
    """The same, where there may be none."""
    return None if moment is None else iso(moment)


def read_agent_id(text: str) -> UUID:
    """The row's id.

    Raises:
        UnknownIdError: It is no agent's id.
    """
    return read_id(Prefix.AGENT, text, param="agent_id")


def from_create_agent(body: CreateAgent) -> AgentConfiguration:
    """A new agent's configuration."""
    return AgentConfiguration(**_plain(body.model_dump(), body))


def from_update_agent(body: UpdateAgent) -> AgentChanges:
    """What is to be changed: the fields that were sent, nulls included."""
    return AgentChanges(**_plain({name: getattr(body, name) for name in body.model_fields_set}, body))


def _plain(values: dict[str, Any], body: CreateAgent | UpdateAgent) -> dict[str, Any]:
    for name in ("text", "reasoning"):
        part = getattr(body, name)
        if name in values and part is not None:
            values[name] = part.model_dump(exclude_unset=True)
    return values


def to_agent(agent: Agent, caller: Principal) -> WireAgent:
    """An agent, with whether this caller could bring it back."""
    expires = agent.retention_expires_at
    within = agent.deleted_at is not None and expires is not None and expires > utc_now()
    return WireAgent(
        id=write_id(Prefix.AGENT, agent.id),
        object="agent",
        version=agent.version,
        created_at=iso(agent.created_at),
        updated_at=iso(agent.updated_at),
        deleted_at=iso_or_none(agent.deleted_at),
        retention_expires_at=iso_or_none(expires),
        within_restore_window=within,
        can_restore=within and caller.allows(Scope.AGENTS_WRITE),
        **_configuration(agent.configuration),
    )


def to_version(version: AgentVersion) -> WireAgentVersion:
    """A version."""
    return WireAgentVersion(
        id=write_id(Prefix.AGENT_VERSION, version.id),
        object="agent.version",
        agent_id=write_id(Prefix.AGENT, version.agent_id),
        version=version.number,
        is_current=version.is_current,
        restored_from_version=version.restored_from,
        created_at=iso(version.created_at),
        **_configuration(version.configuration),
    )


def _configuration(configuration: AgentConfiguration) -> dict[str, Any]:
    return {
        "name": configuration.name,
        "description": configuration.description,
        "model": configuration.model,
        "instructions": configuration.instructions,
        "tools": show_tools(configuration.tools),
        "tool_choice": configuration.tool_choice,
        "parallel_tool_calls": configuration.parallel_tool_calls,
        "max_tool_calls": configuration.max_tool_calls,
        "fallback_models": list(configuration.fallback_models),
        "text": _or_none(configuration.text),
        "reasoning": _or_none(configuration.reasoning),
        "metadata": dict(configuration.metadata),
    }


def _or_none(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if value is None else dict(value)


def from_definition(body: FunctionDefinition) -> dict[str, Any]:
    """A function's definition: what was sent, and ``strict``, whose default is part of the contract."""
    return {**body.model_dump(exclude_unset=True), "strict": body.strict}


def to_function_tool(tool: FunctionTool) -> WireFunctionTool:
    """A function tool."""
    return WireFunctionTool(
        id=write_id(Prefix.FUNCTION_TOOL, tool.id),
        object="agent.function_tool",
        definition=dict(tool.definition),
        created_at=iso(tool.created_at),
        updated_at=iso(tool.updated_at),
    )


def from_create_run(body: CreateAgentRun) -> NewRun:
    """What a run is given."""
    return NewRun(
        input=body.input,
        conversation=body.conversation,
        previous_response_id=body.previous_response_id,
        context_management=_strategies(body),
        stream=body.stream,
        metadata=body.metadata,
    )


def _strategies(body: CreateAgentRun | CreateAgentSchedule | UpdateAgentSchedule) -> list[dict[str, Any]] | None:
    given = body.context_management
    return None if given is None else [strategy.model_dump(exclude_unset=True) for strategy in given]


def to_run(run: AgentRun) -> WireAgentRun:
    """A run."""
    return WireAgentRun(
        id=write_id(Prefix.AGENT_RUN, run.id),
        object="agent.run",
        agent_id=write_id(Prefix.AGENT, run.agent_id),
        agent_version=run.agent_version,
        status=run.status.value,
        input=run.input,
        conversation=run.conversation,
        previous_response_id=run.previous_response_id,
        metadata=None if run.metadata is None else dict(run.metadata),
        gateway_response_id=_response_id(run.response_id),
        gateway_response=run.response,
        error=run.error,
        created_at=iso(run.created_at),
        completed_at=iso_or_none(run.completed_at),
    )


def _response_id(row_id: UUID | None) -> str | None:
    return None if row_id is None else write_id(Prefix.RESPONSE, row_id)


def to_wake(run: AgentRun, wake: Wake) -> WireAgentRunWake:
    """What woke a run."""
    response_id = _response_id(run.response_id) or ""
    return WireAgentRunWake(
        object="agent.run.wake",
        run_id=write_id(Prefix.AGENT_RUN, run.id),
        gateway_response_id=response_id,
        gateway_wake={"id": response_id, "object": "response.wake", "created_at": iso(wake.created_at)},
    )


def to_approval(decision: Decision) -> WireApproval:
    """A decision, and the run that goes on with it."""
    return WireApproval(
        object="agent.run.mcp_approval",
        approval_request_id=decision.approval.request_id,
        approved=bool(decision.approval.approved),
        source_run_id=write_id(Prefix.AGENT_RUN, decision.approval.run_id),
        continuation_run=to_run(decision.continuation),
    )


def from_create_schedule(body: CreateAgentSchedule) -> NewAgentSchedule:
    """A new schedule's definition."""
    return NewAgentSchedule(
        spec=_spec(body),
        input=body.input,
        name=body.name,
        conversation=body.conversation,
        previous_response_id=body.previous_response_id,
        context_management=_strategies(body),
        metadata=body.metadata,
    )


def from_update_schedule(body: UpdateAgentSchedule) -> AgentScheduleChanges:
    """What is to be changed: the fields that were sent, nulls included."""
    sent: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set - {"schedule"}}
    if "schedule" in body.model_fields_set:
        sent["spec"] = _spec(body)
    if "context_management" in sent:
        sent["context_management"] = _strategies(body)
    return AgentScheduleChanges(**sent)


def _spec(body: CreateAgentSchedule | UpdateAgentSchedule) -> dict[str, Any]:
    return body.schedule.model_dump(exclude_none=True)


def to_schedule(schedule: AgentSchedule, clock_id: Callable[[UUID], str]) -> WireAgentSchedule:
    """A schedule, with its name at Temporal as long as Temporal has it."""
    last_run_id = schedule.last_run_id
    return WireAgentSchedule(
        id=write_id(Prefix.AGENT_SCHEDULE, schedule.id),
        object="agent.schedule",
        agent_id=write_id(Prefix.AGENT, schedule.agent_id),
        name=schedule.name,
        status=schedule.status.value,
        schedule=dict(schedule.spec),
        input=schedule.input,
        conversation=schedule.conversation,
        previous_response_id=schedule.previous_response_id,
        context_management=None
        if schedule.context_management is None
        else [dict(strategy) for strategy in schedule.context_management],
        metadata=None if schedule.metadata is None else dict(schedule.metadata),
        temporal_schedule_id=clock_id(schedule.id) if schedule.status in _CLOCKED else None,
        last_run_at=iso_or_none(schedule.last_run_at),
        last_run_id=None if last_run_id is None else write_id(Prefix.AGENT_RUN, last_run_id),
        run_count=schedule.run_count,
        created_at=iso(schedule.created_at),
        updated_at=iso(schedule.updated_at),
        deleted_at=iso_or_none(schedule.deleted_at),
    )
