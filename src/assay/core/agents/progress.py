"""What a run in progress writes down; ``assay.core.agents`` draws how it moves.

Called by the activities of the ``agent_run`` workflow, each inside a transaction. Everything locks the run's row first,
so that events get their numbers in the order in which they are stored, and does nothing on a run that has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import repository
from assay.core.agents.models import (
    AgentRunApprovalRow,
    AgentRunEventRow,
    AgentRunRow,
    AgentRunStepRow,
)
from assay.core.agents.types import AgentRun, NewEvent, RunStatus, RunStep, RunUsage, StepKind, Wake
from assay.kit.clock import utc_now

TERMINAL_EVENTS: Mapping[RunStatus, str] = {
    RunStatus.COMPLETED: "response.completed",
    RunStatus.FAILED: "response.failed",
    RunStatus.INCOMPLETE: "response.incomplete",
    RunStatus.CANCELLED: "response.cancelled",
}

Number = TypeVar("Number", int, Any)


@dataclass(frozen=True, slots=True)
class FinishedStep:
    """A step that has just been done."""

    key: str
    kind: StepKind
    started_at: datetime
    items: Sequence[Mapping[str, Any]] = ()
    details: Mapping[str, Any] | None = None
    usage: RunUsage = field(default_factory=RunUsage)
    events: Sequence[NewEvent] = ()


async def find_run(session: AsyncSession, run_id: UUID) -> AgentRun | None:
    """A run, whoever owns it."""
    row = await repository.find_any_run(session, run_id)
    return None if row is None else repository.to_run(row)


async def find_sample_run(session: AsyncSession, *, sample_id: UUID, attempt: int) -> AgentRun | None:
    """The run that was made for a sample in one of its executions."""
    row = await repository.find_sample_run(session, sample_id, attempt)
    return None if row is None else repository.to_run(row)


async def begin_run(
    session: AsyncSession, *, run_id: UUID, response_id: UUID, response: Mapping[str, Any], events: Sequence[NewEvent]
) -> AgentRun | None:
    """Take a queued run up, and link the response that it becomes.

    Args:
        session: A session inside a transaction.
        run_id: The run.
        response_id: Row id of the response. When it is begun already, the first one stays.
        response: The response as it looks now, in the form of the Responses API.
        events: What to tell first, such as ``response.created``; stored when this call begins the run.

    Returns:
        The run; None when it is not there or has ended, cancelled before it was begun for example.
    """
    row = await _lock_live(session, run_id)
    if row is None:
        return None
    if row.status == RunStatus.QUEUED.value:
        row.status = RunStatus.SUBMITTING.value
        row.started_at = utc_now()
        row.response_id, row.response = response_id, dict(response)
        await _append(session, row, events)
        await _flush(session, row)
    return repository.to_run(row)


async def list_steps(session: AsyncSession, run_id: UUID) -> list[RunStep]:
    """All finished steps of a run, in the order of finishing: from them it goes on after a crash."""
    return [repository.to_step(row) for row in await repository.list_steps(session, run_id)]


async def find_step(session: AsyncSession, run_id: UUID, key: str) -> RunStep | None:
    """A finished step; None when it has not been done, or not to its end."""
    row = await repository.find_step(session, run_id, key)
    return None if row is None else repository.to_step(row)


async def finish_step(
    session: AsyncSession, *, run_id: UUID, step: FinishedStep, response: Mapping[str, Any] | None = None
) -> RunStep | None:
    """Write a step down, with its events and what it used. A key that is written down already stays as it is.

    Args:
        session: A session inside a transaction.
        run_id: The run.
        step: What was done.
        response: The response as it looks after this step, to be stored with the run.

    Returns:
        The step as stored; None when the run has ended meanwhile, and what was done no longer counts.
    """
    row = await _lock_live(session, run_id)
    if row is None:
        return None
    stored = await repository.find_step(session, run_id, step.key)
    if stored is None:
        stored = _new_step(row, step)
        session.add(stored)
        _count(row, step)
        await _append(session, row, step.events)
        if response is not None:
            row.response = dict(response)
        await _flush(session, row)
    return repository.to_step(stored)


async def append_events(session: AsyncSession, *, run_id: UUID, events: Sequence[NewEvent]) -> bool:
    """Store events between two steps, such as deltas. They may come twice when an activity is tried again.

    Returns:
        Whether the run goes on; False when it has ended, and nothing was stored.
    """
    row = await _lock_live(session, run_id)
    if row is None:
        return False
    await _append(session, row, events)
    await _flush(session, row)
    return True


async def sleep_run(session: AsyncSession, *, run_id: UUID, until: datetime | None) -> bool:
    """Note that a run sleeps until a moment, when it can be woken; None: it does not any more.

    Returns:
        Whether the run goes on.
    """
    row = await _lock_live(session, run_id)
    if row is None:
        return False
    row.sleeping_until = until
    await _flush(session, row)
    return True


async def take_wakes(session: AsyncSession, *, run_id: UUID, step_key: str) -> list[Wake]:
    """The input that arrived while the run slept, for the step that goes on with it; the same for the same key."""
    if await _lock_live(session, run_id) is None:
        return []
    taken = [row for row in await repository.list_wakes(session, run_id) if row.taken_by in (None, step_key)]
    for row in taken:
        row.taken_by = step_key
    await session.flush()
    return [repository.to_wake(row) for row in taken]


async def ask_approval(session: AsyncSession, *, run_id: UUID, request_id: str, call: Mapping[str, Any]) -> bool:
    """Note that a tool call waits for a person, who answers by ``decide_approval``.

    Args:
        session: A session inside a transaction.
        run_id: The run.
        request_id: Id of the ``mcp_approval_request`` item.
        call: Server, tool and arguments; the decision holds for these alone.

    Returns:
        Whether the run goes on.
    """
    row = await _lock_live(session, run_id)
    if row is None:
        return False
    if await session.get(AgentRunApprovalRow, (run_id, request_id)) is None:
        session.add(AgentRunApprovalRow(run_id=run_id, request_id=request_id, call=dict(call), created_at=utc_now()))
        await session.flush()
    return True


async def finish_run(
    session: AsyncSession,
    *,
    run_id: UUID,
    status: RunStatus,
    response: Mapping[str, Any] | None,
    error: Mapping[str, Any] | None = None,
    events: Sequence[NewEvent] = (),
) -> bool:
    """End a run, with exactly one terminal event.

    Args:
        session: A session inside a transaction.
        run_id: The run.
        status: How it ended.
        response: The response as it ended; None keeps the last one.
        error: ``code`` and ``message`` of a failure.
        events: What to tell before the terminal event, which is added here.

    Returns:
        Whether this call ended it; False when it had ended before.
    """
    row = await _lock_live(session, run_id)
    if row is None:
        return False
    await end(session, row, status=status, response=response, error=error, events=events)
    await _flush(session, row)
    return True


async def end(
    session: AsyncSession,
    row: AgentRunRow,
    *,
    status: RunStatus,
    response: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
    events: Sequence[NewEvent] = (),
) -> None:
    """End a locked, live run; the caller flushes."""
    now = utc_now()
    row.status = status.value
    row.completed_at = row.updated_at = now
    row.sleeping_until = None
    row.error = None if error is None else dict(error)
    if response is not None:
        row.response = dict(response)
    shown = row.response if row.response is not None else {"object": "response", "status": status.value}
    terminal = TERMINAL_EVENTS[status]
    await _append(session, row, [*events, NewEvent(terminal, {"type": terminal, "response": shown})])


async def _lock_live(session: AsyncSession, run_id: UUID) -> AgentRunRow | None:
    row = await repository.lock_run(session, run_id)
    return None if row is None or RunStatus(row.status).has_ended else row


async def _flush(session: AsyncSession, row: AgentRunRow) -> None:
    row.updated_at = utc_now()
    await session.flush()


async def _append(session: AsyncSession, row: AgentRunRow, events: Iterable[NewEvent]) -> None:
    now = utc_now()
    numbered = [
        {
            "run_id": row.id,
            "sequence": sequence,
            "type": event.type,
            "data": {**event.data, "type": event.type, "sequence_number": sequence},
            "created_at": now,
        }
        for sequence, event in enumerate(events, row.event_count)
    ]
    if numbered:
        await session.execute(insert(AgentRunEventRow), numbered)
        row.event_count += len(numbered)


def _new_step(row: AgentRunRow, step: FinishedStep) -> AgentRunStepRow:
    usage = step.usage
    return AgentRunStepRow(
        run_id=row.id,
        key=step.key,
        position=row.step_count,
        kind=step.kind.value,
        items=[dict(item) for item in step.items],
        details=dict(step.details or {}),
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=usage.cost_usd,
        started_at=step.started_at,
        finished_at=utc_now(),
    )


def _count(row: AgentRunRow, step: FinishedStep) -> None:
    usage = step.usage
    row.step_count += 1
    row.turns += step.kind is StepKind.MODEL_TURN
    row.tool_calls += step.kind is StepKind.TOOL_CALL
    row.input_tokens = _add(row.input_tokens, usage.input_tokens)
    row.cached_tokens = _add(row.cached_tokens, usage.cached_tokens)
    row.output_tokens = _add(row.output_tokens, usage.output_tokens)
    row.reasoning_tokens = _add(row.reasoning_tokens, usage.reasoning_tokens)
    row.cost_usd = _add(row.cost_usd, usage.cost_usd)


def _add(total: Number | None, more: Number | None) -> Number | None:
    return total if more is None else more if total is None else total + more
