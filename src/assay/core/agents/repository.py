"""SQL of agents, their versions, tools and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents.models import (
    AgentRow,
    AgentRunApprovalRow,
    AgentRunEventRow,
    AgentRunRow,
    AgentRunStepRow,
    AgentRunWakeRow,
    AgentVersionRow,
    FunctionToolRow,
)
from assay.core.agents.types import (
    Agent,
    AgentConfiguration,
    AgentRun,
    AgentVersion,
    Approval,
    FunctionTool,
    RunEvent,
    RunLimits,
    RunOrigin,
    RunStatus,
    RunStep,
    RunUsage,
    StepKind,
    Wake,
)
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.db.paging import OffsetPage, Order, Page, fetch_page, fetch_slice


class AgentWithVersion(NamedTuple):
    """An agent's row with its current version."""

    agent: AgentRow
    version: AgentVersionRow


_CURRENT = (AgentVersionRow.agent_id == AgentRow.id) & (AgentVersionRow.number == AgentRow.version)
_LIVE = text("agent_runs.status IN ('queued', 'submitting')")


async def find_agent(
    session: AsyncSession, principal: Principal, agent_id: UUID, *, include_deleted: bool = False
) -> AgentWithVersion | None:
    """A visible agent with its current version."""
    query = (
        select(AgentRow, AgentVersionRow)
        .join(AgentVersionRow, _CURRENT)
        .where(AgentRow.id == agent_id, visible_to(principal, AgentRow, include_deleted=include_deleted))
    )
    found = (await session.execute(query.execution_options(populate_existing=True))).one_or_none()
    return None if found is None else AgentWithVersion(*found)


async def lock_agent(
    session: AsyncSession,
    principal: Principal,
    agent_id: UUID,
    *,
    include_deleted: bool = False,
    against_deletion: bool = False,
) -> AgentRow | None:
    """The row of a visible agent, locked against other changes, or only against being deleted."""
    query = select(AgentRow).where(
        AgentRow.id == agent_id, visible_to(principal, AgentRow, include_deleted=include_deleted)
    )
    # Runs lock their agent with KEY SHARE, by their foreign key too: a deletion waits for those that are being made.
    locked = query.with_for_update(read=against_deletion, key_share=against_deletion)
    return await session.scalar(locked.execution_options(populate_existing=True))


async def list_agents(
    session: AsyncSession, principal: Principal, *, deleted: bool, page: OffsetPage
) -> Page[AgentWithVersion]:
    """Visible agents by age."""
    state = AgentRow.deleted_at.is_not(None) if deleted else AgentRow.deleted_at.is_(None)
    query = select(AgentRow).where(visible_to(principal, AgentRow, include_deleted=True), state)
    rows = await fetch_slice(session, query, sort=[AgentRow.id], page=page)
    versions = select(AgentVersionRow).join(AgentRow, _CURRENT).where(AgentRow.id.in_([row.id for row in rows.items]))
    current = {version.agent_id: version for version in await session.scalars(versions)}
    return rows.map(lambda row: AgentWithVersion(row, current[row.id]))


async def find_version(session: AsyncSession, agent_id: UUID, number: int) -> AgentVersionRow | None:
    """A version of an agent."""
    query = select(AgentVersionRow).where(AgentVersionRow.agent_id == agent_id, AgentVersionRow.number == number)
    return await session.scalar(query)


async def find_last_number(session: AsyncSession, agent_id: UUID) -> int:
    """The number of an agent's latest version; 0 without one."""
    query = select(func.max(AgentVersionRow.number)).where(AgentVersionRow.agent_id == agent_id)
    return await session.scalar(query) or 0


async def list_versions(session: AsyncSession, agent_id: UUID, *, page: OffsetPage) -> Page[AgentVersionRow]:
    """The versions of an agent."""
    query = select(AgentVersionRow).where(AgentVersionRow.agent_id == agent_id)
    return await fetch_slice(session, query, sort=[AgentVersionRow.number], page=page)


async def find_function_tool(
    session: AsyncSession, principal: Principal, tool_id: UUID, *, lock: bool = False
) -> FunctionToolRow | None:
    """A visible function tool."""
    query = select(FunctionToolRow).where(FunctionToolRow.id == tool_id, visible_to(principal, FunctionToolRow))
    return await session.scalar(query.with_for_update() if lock else query)


async def list_function_tools(
    session: AsyncSession, principal: Principal, *, after: UUID | None, limit: int, order: Order
) -> Page[FunctionToolRow]:
    """Visible function tools by age."""
    return await fetch_page(
        session,
        select(FunctionToolRow).where(visible_to(principal, FunctionToolRow)),
        sort=[FunctionToolRow.id],
        after=after,
        limit=limit,
        order=order,
        within=visible_to(principal, FunctionToolRow, include_deleted=True),
    )


async def list_runs(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, page: OffsetPage
) -> Page[AgentRunRow]:
    """The visible runs of an agent by age."""
    query = select(AgentRunRow).where(AgentRunRow.agent_id == agent_id, visible_to(principal, AgentRunRow))
    return await fetch_slice(session, query, sort=[AgentRunRow.id], page=page)


async def list_live_children(session: AsyncSession, run_id: UUID) -> Sequence[UUID]:
    """Runs that tool calls of a run started, and that have not ended."""
    query = select(AgentRunRow.id).where(AgentRunRow.parent_run_id == run_id, _LIVE).order_by(AgentRunRow.id)
    return (await session.scalars(query)).all()


async def find_approval(session: AsyncSession, run_id: UUID, request_id: str) -> AgentRunApprovalRow | None:
    """A tool call that waited for a person; its run must be locked."""
    return await session.get(AgentRunApprovalRow, (run_id, request_id), populate_existing=True)


async def lock_run(session: AsyncSession, run_id: UUID) -> AgentRunRow | None:
    """A run's row, whoever owns it, locked against other changes."""
    query = select(AgentRunRow).where(AgentRunRow.id == run_id)
    return await session.scalar(_locked(query))


async def find_run(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, run_id: UUID, lock: bool = False
) -> AgentRunRow | None:
    """The row of a visible run of an agent."""
    query = select(AgentRunRow).where(
        AgentRunRow.id == run_id, AgentRunRow.agent_id == agent_id, visible_to(principal, AgentRunRow)
    )
    return await session.scalar(_locked(query) if lock else query)


async def find_any_run(session: AsyncSession, run_id: UUID) -> AgentRunRow | None:
    """A run's row, whoever owns it."""
    return await session.get(AgentRunRow, run_id, populate_existing=True)


async def find_child(session: AsyncSession, parent_run_id: UUID, call_id: str) -> AgentRunRow | None:
    """The run that a tool call of a run started."""
    query = select(AgentRunRow).where(AgentRunRow.parent_run_id == parent_run_id, AgentRunRow.parent_call_id == call_id)
    return await session.scalar(query)


async def find_sample_run(session: AsyncSession, sample_id: UUID, attempt: int) -> AgentRunRow | None:
    """The run of a sample's attempt."""
    query = select(AgentRunRow).where(AgentRunRow.sample_id == sample_id, AgentRunRow.sample_attempt == attempt)
    return await session.scalar(query)


async def has_live_runs(session: AsyncSession, agent_id: UUID) -> bool:
    """Whether a run of the agent has not ended, whoever started it."""
    query = select(exists(select(AgentRunRow.id).where(AgentRunRow.agent_id == agent_id, _LIVE)))
    return bool(await session.scalar(query))


async def find_step(session: AsyncSession, run_id: UUID, key: str) -> AgentRunStepRow | None:
    """A finished step."""
    return await session.get(AgentRunStepRow, (run_id, key))


async def list_steps(session: AsyncSession, run_id: UUID) -> Sequence[AgentRunStepRow]:
    """All finished steps of a run, in the order of finishing."""
    query = select(AgentRunStepRow).where(AgentRunStepRow.run_id == run_id).order_by(AgentRunStepRow.position)
    return (await session.scalars(query)).all()


async def list_events(session: AsyncSession, run_id: UUID, *, after: int, limit: int) -> Sequence[AgentRunEventRow]:
    """Events with a higher number than ``after``, in order."""
    query = (
        select(AgentRunEventRow)
        .where(AgentRunEventRow.run_id == run_id, AgentRunEventRow.sequence > after)
        .order_by(AgentRunEventRow.sequence)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def list_wakes(session: AsyncSession, run_id: UUID) -> Sequence[AgentRunWakeRow]:
    """Everything that was sent to wake a run, in order."""
    query = select(AgentRunWakeRow).where(AgentRunWakeRow.run_id == run_id).order_by(AgentRunWakeRow.id)
    return (await session.scalars(query)).all()


def _locked(query: Select[AgentRunRow]) -> Select[AgentRunRow]:
    # KEY SHARE locks of the steps' and events' foreign keys must not wait for this.
    return query.with_for_update(key_share=True).execution_options(populate_existing=True)


def to_configuration(stored: dict[str, Any]) -> AgentConfiguration:
    """The value of a stored configuration."""
    return AgentConfiguration(**stored)


def from_configuration(configuration: AgentConfiguration) -> dict[str, Any]:
    """A configuration as JSON."""
    return asdict(configuration)


def to_agent(row: AgentRow, version: AgentVersionRow) -> Agent:
    """The value of an agent's row with its current version."""
    return Agent(
        id=row.id,
        configuration=to_configuration(version.configuration),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        retention_expires_at=row.retention_expires_at,
    )


def to_version(row: AgentVersionRow, *, current: int) -> AgentVersion:
    """The value of a version's row."""
    return AgentVersion(
        id=row.id,
        agent_id=row.agent_id,
        number=row.number,
        is_current=row.number == current,
        restored_from=row.restored_from,
        configuration=to_configuration(row.configuration),
        created_at=row.created_at,
    )


def to_function_tool(row: FunctionToolRow) -> FunctionTool:
    """The value of a function tool's row."""
    return FunctionTool(row.id, row.definition, row.created_at, row.updated_at)


def to_limits(stored: dict[str, Any]) -> RunLimits:
    """The value of stored limits."""
    cost = stored.get("max_cost_usd")
    return RunLimits(
        max_turns=stored["max_turns"],
        max_tool_calls=stored["max_tool_calls"],
        max_tokens=stored["max_tokens"],
        max_seconds=stored["max_seconds"],
        max_cost_usd=None if cost is None else Decimal(cost),
    )


def from_limits(limits: RunLimits) -> dict[str, Any]:
    """Limits as JSON."""
    cost = limits.max_cost_usd
    return {**asdict(limits), "max_cost_usd": None if cost is None else str(cost)}


def to_usage(row: AgentRunRow | AgentRunStepRow) -> RunUsage:
    """What a run or a step has used."""
    return RunUsage(row.input_tokens, row.cached_tokens, row.output_tokens, row.reasoning_tokens, row.cost_usd)


def to_run(row: AgentRunRow) -> AgentRun:
    """The value of a run's row."""
    return AgentRun(
        id=row.id,
        project_id=row.project_id,
        agent_id=row.agent_id,
        agent_version=row.agent_version,
        origin=RunOrigin(row.origin),
        snapshot=row.snapshot,
        limits=to_limits(row.limits),
        status=RunStatus(row.status),
        input=row.input,
        conversation=row.conversation,
        previous_response_id=row.previous_response_id,
        context_management=row.context_management,
        stream=row.stream,
        metadata=row.labels,
        response_id=row.response_id,
        response=row.response,
        error=row.error,
        turns=row.turns,
        tool_calls=row.tool_calls,
        usage=to_usage(row),
        sleeping_until=row.sleeping_until,
        parent_run_id=row.parent_run_id,
        depth=row.depth,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
    )


def to_step(row: AgentRunStepRow) -> RunStep:
    """The value of a step's row."""
    return RunStep(
        key=row.key,
        kind=StepKind(row.kind),
        position=row.position,
        items=row.items,
        details=row.details,
        usage=to_usage(row),
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def to_event(row: AgentRunEventRow) -> RunEvent:
    """The value of an event's row."""
    return RunEvent(row.sequence, row.type, row.data, row.created_at)


def to_wake(row: AgentRunWakeRow) -> Wake:
    """The value of a wake's row."""
    return Wake(row.id, row.input, row.created_at)


def to_approval(row: AgentRunApprovalRow) -> Approval:
    """The value of an approval's row."""
    return Approval(
        row.run_id, row.request_id, row.call, row.approved, row.reason, row.continuation_run_id, row.decided_at
    )
