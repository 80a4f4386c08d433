"""Writing down what happens to a response: each step once, under a lock, and into the agent's run it belongs to.

Everything here does nothing on a response that has ended, and says so, which is how a cancelled one stops wherever it
is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import progress
from assay.core.agents.types import NewEvent, RunStatus, RunUsage
from assay.core.agents.types import StepKind as RunStepKind
from assay.core.conversations.items import public_item
from assay.core.conversations.service import ConversationItem, append_items
from assay.core.responses import events, repository
from assay.core.responses.models import ResponseRow, ResponseStepRow
from assay.core.responses.types import Response, ResponseStatus, Spent, StepKind, StepStatus
from assay.kit.clock import utc_now

Number = TypeVar("Number", int, Any)

Render = Callable[[Response], dict[str, Any]]
"""A response in the form of the Responses API."""

_RUN_KINDS: Mapping[StepKind, RunStepKind] = {
    StepKind.MODEL_TURN: RunStepKind.MODEL_TURN,
    StepKind.TOOL_CALL: RunStepKind.TOOL_CALL,
    StepKind.COMPACTION: RunStepKind.COMPACTION,
}
_RUN_STATUSES: Mapping[ResponseStatus, RunStatus] = {
    ResponseStatus.COMPLETED: RunStatus.COMPLETED,
    ResponseStatus.FAILED: RunStatus.FAILED,
    ResponseStatus.INCOMPLETE: RunStatus.INCOMPLETE,
    ResponseStatus.CANCELLED: RunStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a step has brought."""

    key: str
    """Names the step in the agent's run."""
    kind: StepKind
    started_at: datetime
    items: Sequence[dict[str, Any]] = ()
    turn: int | None = None
    spent: Spent = field(default_factory=Spent)


async def lock_live(session: AsyncSession, response_id: UUID) -> ResponseRow | None:
    """The locked row of a response that has not ended."""
    row = await repository.lock_response(session, response_id)
    if row is None or row.deleted_at is not None or ResponseStatus(row.status).has_ended:
        return None
    return row


async def write_step(session: AsyncSession, row: ResponseRow, done: Done, *, render: Render) -> None:
    """Append what a step has brought to a locked, live response, and to its agent's run."""
    shown = len((await repository.read_outputs(session, [row.id]))[row.id])
    await repository.append_items(session, row, done.items, is_output=True, turn=done.turn)
    _count(row, done)
    await session.flush()
    kind = _RUN_KINDS.get(done.kind)
    if row.run_id is None:
        return
    items = [public_item(item) for item in done.items]
    told = [event for index, item in enumerate(items) for event in events.item_events(item, shown + index)]
    run = await progress.find_run(session, row.run_id)
    if run is not None and not run.stream:
        told = [event for event in told if event["type"] not in events.DELTAS]
    news = [NewEvent(event["type"], event) for event in told]
    if kind is None:
        await progress.append_events(session, run_id=row.run_id, events=news)
        return
    spent = done.spent
    step = progress.FinishedStep(
        key=done.key,
        kind=kind,
        started_at=done.started_at,
        items=items,
        usage=RunUsage(
            spent.input_tokens, spent.cached_tokens, spent.output_tokens, spent.reasoning_tokens, spent.cost_usd
        ),
        events=news,
    )
    await progress.finish_step(session, run_id=row.run_id, step=step, response=render(await described(session, row)))


async def end(
    session: AsyncSession,
    row: ResponseRow,
    status: ResponseStatus,
    *,
    render: Render,
    error: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> None:
    """End a locked, live response, its agent's run, and add to its conversation what it has brought."""
    now = utc_now()
    row.status = status.value
    row.completed_at = row.updated_at = now
    row.sleeping_until = None
    row.error = None if error is None else dict(error)
    row.incomplete_reason = reason
    await session.flush()
    if row.conversation_id is not None and status in {ResponseStatus.COMPLETED, ResponseStatus.INCOMPLETE}:
        items = await repository.list_items(session, row.id)
        added = [ConversationItem(one.item, row.id, one.turn) for one in items]
        await append_items(session, row.conversation_id, added)
    if row.run_id is not None:
        await progress.finish_run(
            session,
            run_id=row.run_id,
            status=_RUN_STATUSES[status],
            response=render(await described(session, row)),
            error=error,
        )


async def described(session: AsyncSession, row: ResponseRow) -> Response:
    """The response as it is now."""
    return repository.to_response(row, (await repository.read_outputs(session, [row.id]))[row.id])


def start(step: ResponseStepRow) -> None:
    """Note that a step is being done."""
    step.status = StepStatus.STARTED.value
    step.attempts += 1
    step.started_at = step.started_at or utc_now()


def finish(step: ResponseStepRow, result: Mapping[str, Any]) -> None:
    """Note that a step has been done."""
    step.status = StepStatus.FINISHED.value
    step.result = dict(result)
    step.finished_at = utc_now()


def _count(row: ResponseRow, done: Done) -> None:
    spent = done.spent
    row.turns += done.kind is StepKind.MODEL_TURN
    row.tool_calls += done.kind is StepKind.TOOL_CALL
    row.input_tokens = _add(row.input_tokens, spent.input_tokens)
    row.cached_tokens = _add(row.cached_tokens, spent.cached_tokens)
    row.output_tokens = _add(row.output_tokens, spent.output_tokens)
    row.reasoning_tokens = _add(row.reasoning_tokens, spent.reasoning_tokens)
    row.cost_usd = _add(row.cost_usd, spent.cost_usd)
    row.updated_at = utc_now()


def _add(total: Number | None, more: Number | None) -> Number | None:
    return total if more is None else more if total is None else total + more
