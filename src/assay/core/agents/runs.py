"""What a user can do with the runs of an agent (M§3.4). They stay readable when the agent is deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import progress, repository
from assay.core.agents.errors import (
    AgentNotFoundError,
    AgentRunNotFoundError,
    AgentRunStateError,
    ApprovalDecidedError,
    ApprovalNotFoundError,
)
from assay.core.agents.models import AgentRunRow, AgentRunWakeRow
from assay.core.agents.starting import check_input, continue_run
from assay.core.agents.types import (
    AGENT_RUN_WORKFLOW,
    AgentRun,
    Approval,
    Json,
    RunEvent,
    RunStatus,
    RunStep,
    Wake,
    workflow_id,
)
from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand
from assay.core.projects.types import Principal, Scope
from assay.db.paging import OffsetPage, Page
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

QUEUED_TOO_LONG = timedelta(minutes=1)
"""After this long nobody is told to wait for the events of a run that is still not taken up (R38)."""
MAX_REASON_LENGTH = 2_000


class Decision(NamedTuple):
    """A decision, and the run that goes on with it."""

    approval: Approval
    continuation: AgentRun


async def get_run(session: AsyncSession, principal: Principal, *, agent_id: UUID, run_id: UUID) -> AgentRun:
    """One run.

    Raises:
        AgentRunNotFoundError: Not visible to the caller.
    """
    return repository.to_run(await _get_row(session, principal, agent_id, run_id))


async def list_runs(session: AsyncSession, principal: Principal, *, agent_id: UUID, page: OffsetPage) -> Page[AgentRun]:
    """The visible runs of an agent, by age.

    Raises:
        AgentNotFoundError: Not visible to the caller.
    """
    if await repository.find_agent(session, principal, agent_id, include_deleted=True) is None:
        raise AgentNotFoundError
    return (await repository.list_runs(session, principal, agent_id=agent_id, page=page)).map(repository.to_run)


async def open_events(session: AsyncSession, principal: Principal, *, agent_id: UUID, run_id: UUID) -> AgentRun:
    """The run whose events are to be followed.

    Raises:
        AgentRunNotFoundError: Not visible to the caller.
        AgentRunStateError: It has been queued for a minute, and nobody has taken it up.
    """
    run = await get_run(session, principal, agent_id=agent_id, run_id=run_id)
    if run.status is RunStatus.QUEUED and utc_now() - run.created_at > QUEUED_TOO_LONG:
        raise AgentRunStateError(
            "The run has been queued for more than a minute and has no response yet; is a worker running?",
            status=run.status,
        )
    return run


async def read_events(session: AsyncSession, *, run_id: UUID, after: int, limit: int = 500) -> tuple[RunEvent, ...]:
    """Events of a run that comes from ``open_events``, in order.

    Args:
        session: Where to read.
        run_id: The run.
        after: Number of the last event that is known already; -1 for none.
        limit: Most events.
    """
    rows = await repository.list_events(session, run_id, after=after, limit=limit)
    return tuple(map(repository.to_event, rows))


async def list_steps(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, run_id: UUID
) -> tuple[RunStep, ...]:
    """What a run did, in order.

    Raises:
        AgentRunNotFoundError: Not visible to the caller.
    """
    await _get_row(session, principal, agent_id, run_id)
    return tuple(map(repository.to_step, await repository.list_steps(session, run_id)))


async def cancel_run(session: AsyncSession, principal: Principal, *, agent_id: UUID, run_id: UUID) -> AgentRun:
    """End a run, and those that its tool calls have started. One that is cancelled already stays so.

    It is cancelled at once; whatever its workflow still reports does not count, and the workflow is told to stop.

    Raises:
        AgentRunNotFoundError: Not visible to the caller.
        AgentRunStateError: It has ended otherwise.
        MissingScopeError: It is being carried out, and the key may not write responses.
    """
    row = await _get_row(session, principal, agent_id, run_id, lock=True)
    status = RunStatus(row.status)
    if status is RunStatus.CANCELLED:
        return repository.to_run(row)
    if status.has_ended:
        raise AgentRunStateError(f"The run is {status.value} and cannot be cancelled any more.", status=status)
    if row.response_id is not None:
        principal.require(Scope.RESPONSES_WRITE)
    await _cancel(session, row)
    return repository.to_run(row)


async def wake_run(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, run_id: UUID, input: Json
) -> tuple[AgentRun, Wake]:
    """End the sleep of a run, and give it something to go on with.

    Raises:
        AgentRunNotFoundError: Not visible to the caller.
        AgentInputError: The input is out of its bounds.
        AgentRunStateError: It is not asleep.
    """
    check_input(input)
    row = await _get_row(session, principal, agent_id, run_id, lock=True)
    status = RunStatus(row.status)
    if status.has_ended or row.sleeping_until is None:
        raise AgentRunStateError(f"The run is {status.value} and not asleep, so it cannot be woken.", status=status)
    wake = AgentRunWakeRow(id=new_id(), run_id=row.id, input=input, created_at=utc_now())
    session.add(wake)
    await session.flush()
    await _tell(session, Action.SIGNAL, row)
    return repository.to_run(row), repository.to_wake(wake)


async def decide_approval(
    session: AsyncSession,
    principal: Principal,
    *,
    agent_id: UUID,
    run_id: UUID,
    request_id: str,
    approve: bool,
    reason: str | None,
) -> Decision:
    """Allow or refuse a tool call that a run asked about, and go on in a new run.

    The new run has the agent as it was in the first one, so the decision holds for the same server, tool and arguments.

    Raises:
        AgentRunNotFoundError, ApprovalNotFoundError: Not visible to the caller, or never asked.
        ApprovalDecidedError: It was decided before.
        AgentRunStateError: The run has not ended yet.
    """
    row = await _get_row(session, principal, agent_id, run_id, lock=True)
    approval = await repository.find_approval(session, row.id, request_id)
    if approval is None:
        raise ApprovalNotFoundError(
            f"The run has no approval request {request_id[:80]!r}.", param="approval_request_id"
        )
    if approval.decided_at is not None:
        raise ApprovalDecidedError("This approval request was decided before.", param="approval_request_id")
    status = RunStatus(row.status)
    if not status.has_ended:
        raise AgentRunStateError("The run has not ended yet; decide when it has.", status=status)
    answer = {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": approve}
    continuation = await continue_run(session, row, input=[answer if reason is None else {**answer, "reason": reason}])
    approval.approved, approval.reason, approval.decided_at = approve, reason, utc_now()
    approval.continuation_run_id = continuation.id
    await session.flush()
    return Decision(repository.to_approval(approval), continuation)


async def _get_row(
    session: AsyncSession, principal: Principal, agent_id: UUID, run_id: UUID, *, lock: bool = False
) -> AgentRunRow:
    row = await repository.find_run(session, principal, agent_id=agent_id, run_id=run_id, lock=lock)
    if row is None:
        raise AgentRunNotFoundError("The agent has no such run.", param="run_id")
    return row


async def _cancel(session: AsyncSession, row: AgentRunRow) -> None:
    response = None if row.response is None else {**row.response, "status": RunStatus.CANCELLED.value}
    await progress.end(session, row, status=RunStatus.CANCELLED, response=response)
    await session.flush()
    await _tell(session, Action.CANCEL, row)
    for child_id in await repository.list_live_children(session, row.id):
        child = await repository.lock_run(session, child_id)
        if child is not None and not RunStatus(child.status).has_ended:
            await _cancel(session, child)


async def _tell(session: AsyncSession, action: Action, row: AgentRunRow) -> None:
    command = WorkflowCommand(
        action=action, workflow=AGENT_RUN_WORKFLOW, workflow_id=workflow_id(row.id), arguments={"run_id": str(row.id)}
    )
    await enqueue(session, command)
