"""Making runs: the row with its snapshot, and the command that starts its workflow, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import progress, repository
from assay.core.agents.errors import AgentInputError, AgentNotFoundError, AgentVersionNotFoundError, DepthError
from assay.core.agents.models import AgentRow, AgentRunRow, AgentVersionRow
from assay.core.agents.references import resolve_tools
from assay.core.agents.types import (
    AGENT_RUN_WORKFLOW,
    AgentPolicy,
    AgentRun,
    NewRun,
    RunLimits,
    RunOrigin,
    RunStatus,
    workflow_id,
)
from assay.core.metadata import check_metadata
from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand
from assay.core.ownership import OwnerColumns, act_as_owner, owner_columns
from assay.core.projects.types import Principal
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.kit.ids import new_id

MAX_INPUT_LENGTH = 20_000
MAX_INPUT_ITEMS = 1_000
MIN_COMPACT_THRESHOLD = 1_000


@dataclass(frozen=True, slots=True)
class Cause:
    """What made a run."""

    origin: RunOrigin
    schedule_id: UUID | None = None
    due_at: datetime | None = None
    parent_run_id: UUID | None = None
    parent_call_id: str | None = None
    depth: int = 0
    sample_id: UUID | None = None
    sample_attempt: int | None = None


BY_CALLER = Cause(RunOrigin.CALLER)


async def create_run(
    session: AsyncSession,
    principal: Principal,
    *,
    agent_id: UUID,
    new: NewRun,
    policy: AgentPolicy,
    version: int | None = None,
    cause: Cause = BY_CALLER,
) -> AgentRun:
    """Queue a run of an agent (of its current version unless given).

    Raises:
        AgentNotFoundError, AgentVersionNotFoundError: Not visible to the caller, or deleted.
        AgentInputError, MetadataError: The input is out of its bounds.
        UnknownReferenceError: A tool refers to something that was deleted.
    """
    check_new_run(new)
    agent, found = await _lock_version(session, principal, agent_id, version)
    snapshot = await _take_snapshot(session, principal, found)
    row = _new_row(agent, found, snapshot, new, policy, cause, owner_columns(principal))
    await _start(session, row)
    return repository.to_run(row)


async def create_child_run(
    session: AsyncSession, *, parent_run_id: UUID, call_id: str, agent_id: UUID, new: NewRun, policy: AgentPolicy
) -> AgentRun:
    """Queue the run that an ``agent`` tool call asks for; the same one when it is asked for again.

    Args:
        session: A session inside a transaction.
        parent_run_id: The run that calls.
        call_id: Its tool call.
        agent_id: The agent that is called; it must be visible to whoever owns the calling run.
        new: What it is given.
        policy: Bounds.

    Raises:
        AgentNotFoundError, AgentInputError, UnknownReferenceError: As for ``create_run``.
        DepthError: The calling run is itself as deep as calls may go.
    """
    parent = await repository.lock_run(session, parent_run_id)
    if parent is None:
        raise AgentNotFoundError
    existing = await repository.find_child(session, parent_run_id, call_id)
    if existing is not None:
        return repository.to_run(existing)
    if parent.depth >= policy.max_depth:
        raise DepthError(policy.max_depth)
    cause = Cause(RunOrigin.AGENT, parent_run_id=parent_run_id, parent_call_id=call_id, depth=parent.depth + 1)
    owner = await act_as_owner(session, parent)
    return await create_run(session, owner, agent_id=agent_id, new=new, policy=policy, cause=cause)


async def create_failed_run(
    session: AsyncSession,
    principal: Principal,
    *,
    agent_id: UUID,
    new: NewRun,
    policy: AgentPolicy,
    cause: Cause,
    error: DomainError,
) -> AgentRun:
    """Record that a run could not be made, as one that has failed, where nobody waits to be told.

    Raises:
        AgentNotFoundError: Not visible to the caller, or deleted.
    """
    agent, found = await _lock_version(session, principal, agent_id, None)
    row = _new_row(agent, found, found.configuration, new, policy, cause, owner_columns(principal))
    session.add(row)
    await session.flush()
    described = {"code": error.code, "message": error.message}
    await progress.end(session, row, status=RunStatus.FAILED, error=described)
    await session.flush()
    return repository.to_run(row)


async def continue_run(session: AsyncSession, source: AgentRunRow, *, input: Sequence[Mapping[str, Any]]) -> AgentRun:
    """Queue a run that goes on where another one ended, with that one's agent as it was then."""
    row = AgentRunRow(
        id=new_id(),
        project_id=source.project_id,
        created_by=source.created_by,
        on_behalf_of=source.on_behalf_of,
        agent_id=source.agent_id,
        agent_version=source.agent_version,
        origin=RunOrigin.APPROVAL.value,
        snapshot=source.snapshot,
        limits=source.limits,
        status=RunStatus.QUEUED.value,
        input=list(input),
        conversation=source.conversation,
        previous_response_id=None if source.response is None else source.response.get("id"),
        context_management=source.context_management,
        stream=source.stream,
        labels=source.labels,
        depth=source.depth,
        **_counters(),
    )
    await _start(session, row)
    return repository.to_run(row)


def check_new_run(new: NewRun) -> None:
    """Refuse what no run can be made of.

    Raises:
        AgentInputError, MetadataError: A field is out of its bounds.
    """
    check_input(new.input)
    if new.conversation is not None and new.previous_response_id is not None:
        raise AgentInputError(
            "`conversation` and `previous_response_id` exclude each other; send the one that holds the context.",
            param="previous_response_id",
        )
    check_context_management(new.context_management)
    check_metadata(new.metadata)


def check_input(input: str | Sequence[Mapping[str, Any]]) -> None:
    """Refuse input that is too long.

    Raises:
        AgentInputError: A text of none or more than 20,000 characters; more than 1,000 items.
    """
    if isinstance(input, str):
        if not 1 <= len(input) <= MAX_INPUT_LENGTH:
            raise AgentInputError(
                f"`input` must have 1 to {MAX_INPUT_LENGTH} characters; send longer content as a list of items.",
                param="input",
            )
    elif len(input) > MAX_INPUT_ITEMS:
        raise AgentInputError(f"`input` may hold at most {MAX_INPUT_ITEMS} items.", param="input")


def check_context_management(strategies: Sequence[Mapping[str, Any]] | None) -> None:
    """Refuse strategies other than compaction.

    Raises:
        AgentInputError: With the place of the fault.
    """
    for index, strategy in enumerate(strategies or ()):
        threshold = strategy.get("compact_threshold")
        if strategy.get("type") != "compaction":
            raise AgentInputError(
                f"`context_management[{index}].type` must be 'compaction'.", param=f"context_management[{index}].type"
            )
        whole = isinstance(threshold, int) and not isinstance(threshold, bool)
        if threshold is not None and not (whole and threshold >= MIN_COMPACT_THRESHOLD):
            raise AgentInputError(
                f"`context_management[{index}].compact_threshold` must be a whole number of at least "
                f"{MIN_COMPACT_THRESHOLD} tokens.",
                param=f"context_management[{index}].compact_threshold",
            )


async def _lock_version(
    session: AsyncSession, principal: Principal, agent_id: UUID, number: int | None
) -> tuple[AgentRow, AgentVersionRow]:
    agent = await repository.lock_agent(session, principal, agent_id, against_deletion=True)
    if agent is None:
        raise AgentNotFoundError
    found = await repository.find_version(session, agent.id, agent.version if number is None else number)
    if found is None:
        raise AgentVersionNotFoundError(f"The agent has no version {number}.", param="version")
    return agent, found


async def _take_snapshot(session: AsyncSession, principal: Principal, version: AgentVersionRow) -> dict[str, Any]:
    stored = version.configuration
    return {**stored, "tools": await resolve_tools(session, principal, stored["tools"])}


def _new_row(
    agent: AgentRow,
    version: AgentVersionRow,
    snapshot: Mapping[str, Any],
    new: NewRun,
    policy: AgentPolicy,
    cause: Cause,
    owner: OwnerColumns,
) -> AgentRunRow:
    return AgentRunRow(
        id=new_id(),
        **owner,
        agent_id=agent.id,
        agent_version=version.number,
        origin=cause.origin.value,
        snapshot=dict(snapshot),
        limits=repository.from_limits(_limits(policy, snapshot)),
        status=RunStatus.QUEUED.value,
        input=new.input if isinstance(new.input, str) else [dict(item) for item in new.input],
        conversation=new.conversation,
        previous_response_id=new.previous_response_id,
        context_management=None if new.context_management is None else [dict(one) for one in new.context_management],
        stream=new.stream,
        labels=None if new.metadata is None else dict(new.metadata),
        schedule_id=cause.schedule_id,
        due_at=cause.due_at,
        parent_run_id=cause.parent_run_id,
        parent_call_id=cause.parent_call_id,
        depth=cause.depth,
        sample_id=cause.sample_id,
        sample_attempt=cause.sample_attempt,
        **_counters(),
    )


def _counters() -> dict[str, Any]:
    now = utc_now()
    return {"turns": 0, "tool_calls": 0, "step_count": 0, "event_count": 0, "created_at": now, "updated_at": now}


def _limits(policy: AgentPolicy, snapshot: Mapping[str, Any]) -> RunLimits:
    calls = snapshot.get("max_tool_calls")
    if calls is None:
        return policy.limits
    return replace(policy.limits, max_tool_calls=min(calls, policy.limits.max_tool_calls))


async def _start(session: AsyncSession, row: AgentRunRow) -> None:
    session.add(row)
    await session.flush()
    command = WorkflowCommand(
        action=Action.START,
        workflow=AGENT_RUN_WORKFLOW,
        workflow_id=workflow_id(row.id),
        arguments={"run_id": str(row.id)},
    )
    await enqueue(session, command)
