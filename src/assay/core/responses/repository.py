"""SQL of responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents.sealing import show_tools
from assay.core.conversations.items import public_item
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.responses.models import ResponseItemRow, ResponseRow, ResponseStepRow
from assay.core.responses.types import ContextItem, Response, ResponseStatus, Spent, StepStatus
from assay.db.paging import Order, Page, fetch_page
from assay.kit.clock import utc_now

MAX_CHAIN = 200
"""Most responses that a chain of ``previous_response_id`` is followed over."""


async def find_response(
    session: AsyncSession, principal: Principal, response_id: UUID, *, lock: bool = False
) -> ResponseRow | None:
    """A stored, visible response."""
    query = select(ResponseRow).where(
        ResponseRow.id == response_id, ResponseRow.stored, visible_to(principal, ResponseRow)
    )
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return await session.scalar(query)


async def lock_response(session: AsyncSession, response_id: UUID) -> ResponseRow | None:
    """A response, whoever owns it, locked against other changes."""
    query = select(ResponseRow).where(ResponseRow.id == response_id)
    return await session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))


async def find_of_run(session: AsyncSession, run_id: UUID) -> ResponseRow | None:
    """The response that a run became."""
    return await session.scalar(select(ResponseRow).where(ResponseRow.run_id == run_id))


async def list_responses(
    session: AsyncSession, principal: Principal, *, after: UUID | None, limit: int, order: Order
) -> Page[ResponseRow]:
    """The caller's stored responses by age."""
    visible = visible_to(principal, ResponseRow)
    return await fetch_page(
        session,
        select(ResponseRow).where(visible, ResponseRow.stored),
        sort=(ResponseRow.id,),
        after=after,
        limit=limit,
        order=order,
        within=visible_to(principal, ResponseRow, include_deleted=True),
    )


async def list_items(session: AsyncSession, response_id: UUID) -> Sequence[ResponseItemRow]:
    """All items of a response, in order."""
    query = select(ResponseItemRow).where(ResponseItemRow.response_id == response_id).order_by(ResponseItemRow.position)
    return (await session.scalars(query)).all()


async def read_outputs(session: AsyncSession, response_ids: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """The output items of responses."""
    query = (
        select(ResponseItemRow)
        .where(ResponseItemRow.response_id.in_(response_ids), ResponseItemRow.is_output)
        .order_by(ResponseItemRow.response_id, ResponseItemRow.position)
    )
    found: dict[UUID, list[dict[str, Any]]] = {response_id: [] for response_id in response_ids}
    for row in await session.scalars(query):
        found[row.response_id].append(public_item(row.item))
    return found


async def read_chain(session: AsyncSession, response_id: UUID | None) -> list[UUID]:
    """A response and those before it, the oldest first; deleted ones break the chain."""
    chain: list[UUID] = []
    while response_id is not None and len(chain) < MAX_CHAIN:
        query = select(ResponseRow.previous_id, ResponseRow.deleted_at).where(ResponseRow.id == response_id)
        found = (await session.execute(query)).one_or_none()
        if found is None or found.deleted_at is not None:
            break
        chain.append(response_id)
        response_id = found.previous_id
    return chain[::-1]


async def read_context(session: AsyncSession, response_ids: Sequence[UUID]) -> list[ContextItem]:
    """The items of responses, in the order of the responses."""
    query = (
        select(ResponseItemRow)
        .where(ResponseItemRow.response_id.in_(response_ids))
        .order_by(ResponseItemRow.response_id, ResponseItemRow.position)
    )
    by_response: dict[UUID, list[ContextItem]] = {response_id: [] for response_id in response_ids}
    for row in await session.scalars(query):
        turn = None if row.turn is None else (row.response_id, row.turn)
        by_response[row.response_id].append(ContextItem(row.item, turn))
    return [item for response_id in response_ids for item in by_response[response_id]]


async def list_steps(session: AsyncSession, response_id: UUID) -> Sequence[ResponseStepRow]:
    """All steps of a response, by number."""
    query = (
        select(ResponseStepRow)
        .where(ResponseStepRow.response_id == response_id)
        .order_by(ResponseStepRow.number)
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(query)).all()


async def append_items(
    session: AsyncSession, row: ResponseRow, items: Sequence[dict[str, Any]], *, is_output: bool, turn: int | None
) -> None:
    """Append items to a locked response."""
    now = utc_now()
    values = [
        {
            "response_id": row.id,
            "position": row.item_count + index,
            "is_output": is_output,
            "turn": turn,
            "item_id": item["id"],
            "item": item,
            "created_at": now,
        }
        for index, item in enumerate(items)
    ]
    if values:
        await session.execute(insert(ResponseItemRow), values)
        row.item_count += len(values)


def new_step(row: ResponseRow, kind: str, details: dict[str, Any], *, turn: int | None) -> ResponseStepRow:
    """A pending step of a locked response, with the next number."""
    step = ResponseStepRow(
        response_id=row.id,
        number=row.step_count,
        kind=kind,
        status=StepStatus.PENDING.value,
        turn=turn,
        details=details,
        attempts=0,
    )
    row.step_count += 1
    return step


def to_response(row: ResponseRow, output: Sequence[dict[str, Any]]) -> Response:
    """The value of a response's row."""
    return Response(
        id=row.id,
        status=ResponseStatus(row.status),
        model=row.model,
        resolved_model=row.resolved_model,
        resolved_provider=row.resolved_provider,
        settings=row.settings,
        tools=show_tools(row.tools),
        output=output,
        conversation_id=row.conversation_id,
        previous_id=row.previous_id,
        background=row.background,
        stored=row.stored,
        metadata=row.labels,
        max_tool_calls=row.max_tool_calls,
        error=row.error,
        incomplete_reason=row.incomplete_reason,
        spent=Spent(row.input_tokens, row.cached_tokens, row.output_tokens, row.reasoning_tokens, row.cost_usd),
        sleeping_until=row.sleeping_until,
        run_id=row.run_id,
        created_at=row.created_at,
        completed_at=row.completed_at,
    )
