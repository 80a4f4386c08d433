"""What a user can do with responses (M§3.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents.progress import find_run
from assay.core.agents.references import resolve_tools
from assay.core.agents.runs import cancel_run, wake_run
from assay.core.agents.types import AgentConfiguration
from assay.core.conversations.items import check_items
from assay.core.conversations.service import get_conversation
from assay.core.metadata import check_metadata
from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.core.responses import repository
from assay.core.responses.errors import ApprovalUsedError, ResponseInputError, ResponseNotFoundError, ResponseStateError
from assay.core.responses.models import ResponseItemRow, ResponseRow, UsedApprovalRow
from assay.core.responses.types import (
    MAX_FALLBACK_MODELS,
    RESPONSE_WORKFLOW,
    NewResponse,
    Response,
    ResponseStatus,
    ResponseTools,
    workflow_id,
)
from assay.core.tools.definitions import parse_tools
from assay.db.paging import Order, Page
from assay.gateway.types import ModelRole
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

UNSTORED_LIFETIME = timedelta(hours=1)
"""How long what a response was made of is kept when its client did not want it stored."""
MAX_WAKE_LENGTH = 20_000


async def create_response(
    session: AsyncSession, principal: Principal, *, new: NewResponse, tools: ResponseTools
) -> Response:
    """Queue a response.

    Raises:
        UnknownModelError, ItemError, ResponseInputError, MetadataError, AgentInputError: Something in it is wrong.
        UnsupportedToolError, ToolDefinitionError, UnknownReferenceError: A tool is.
        ResponseNotFoundError, ConversationNotFoundError: What it goes on from is not visible to the caller.
        ResponseStateError: What it goes on from has not ended.
        ApprovalUsedError: It decides what was decided before.
    """
    await _check_models(new, tools)
    resolved = await resolve_tools(session, principal, new.tools)
    parse_tools(resolved, tools.outbound)
    row = await insert_response(session, principal, new=new, resolved_tools=resolved, tools=tools)
    await _tell(session, Action.START, row)
    return repository.to_response(row, [])


async def insert_response(
    session: AsyncSession,
    principal: Principal,
    *,
    new: NewResponse,
    resolved_tools: Sequence[Mapping[str, Any]],
    tools: ResponseTools,
    run_id: UUID | None = None,
    limits: Mapping[str, Any] | None = None,
    sealed: bool = False,
) -> ResponseRow:
    """Write a queued response and its input; for ``create_response``, and for runs of agents.

    Raises:
        As ``create_response``, but for what concerns models and tools.
    """
    items = check_items(new.input)
    await _check_origin(session, principal, new)
    now = utc_now()
    row = ResponseRow(
        id=new_id(),
        **owner_columns(principal),
        status=ResponseStatus.QUEUED.value,
        model=new.model,
        model_number=0,
        settings=dict(new.settings),
        tools=_sealed(new.tools, tools, sealed=sealed),
        resolved_tools=_sealed(resolved_tools, tools, sealed=sealed),
        limits=dict(limits or {}),
        conversation_id=new.conversation_id,
        previous_id=new.previous_id,
        background=new.background,
        stored=new.stored,
        labels=check_metadata(new.metadata),
        max_tool_calls=new.max_tool_calls,
        turns=0,
        tool_calls=0,
        step_count=0,
        item_count=0,
        run_id=run_id,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    await repository.append_items(session, row, items, is_output=False, turn=None)
    await _use_approvals(session, row, items)
    await session.flush()
    return row


async def get_response(session: AsyncSession, principal: Principal, *, response_id: UUID) -> Response:
    """One stored response.

    Raises:
        ResponseNotFoundError: Not visible to the caller.
    """
    return await _described(session, await _get_row(session, principal, response_id))


async def read_response(session: AsyncSession, response_id: UUID) -> Response:
    """A response that the caller has just made, stored or not.

    Raises:
        ResponseNotFoundError: It is not there.
    """
    row = await session.get(ResponseRow, response_id, populate_existing=True)
    if row is None:
        raise ResponseNotFoundError("There is no such response.", param="response_id")
    return await _described(session, row)


async def list_responses(
    session: AsyncSession, principal: Principal, *, after: UUID | None, limit: int, order: Order
) -> Page[Response]:
    """The caller's stored responses by age.

    Raises:
        UnknownCursorError: ``after`` is none of them.
    """
    page = await repository.list_responses(session, principal, after=after, limit=limit, order=order)
    outputs = await repository.read_outputs(session, [row.id for row in page.items])
    return page.map(lambda row: repository.to_response(row, outputs[row.id]))


async def update_response(
    session: AsyncSession, principal: Principal, *, response_id: UUID, metadata: Mapping[str, str]
) -> Response:
    """Replace the metadata.

    Raises:
        ResponseNotFoundError: Not visible to the caller.
        MetadataError: The metadata is out of its bounds.
    """
    row = await _get_row(session, principal, response_id, lock=True)
    row.labels = check_metadata(metadata)
    await session.flush()
    return await _described(session, row)


async def delete_response(session: AsyncSession, principal: Principal, *, response_id: UUID) -> None:
    """Delete a response; one that is in progress is cancelled.

    Raises:
        ResponseNotFoundError: Not visible to the caller.
    """
    row = await _get_row(session, principal, response_id, lock=True)
    if not ResponseStatus(row.status).has_ended:
        await _cancel(session, principal, row)
    row.deleted_at = utc_now()
    await session.flush()


async def cancel_response(session: AsyncSession, principal: Principal, *, response_id: UUID) -> Response:
    """End a response. It is cancelled at once; whatever its workflow still reports does not count.

    Raises:
        ResponseNotFoundError: Not visible to the caller.
        ResponseStateError: It has ended otherwise.
    """
    row = await _get_row(session, principal, response_id, lock=True)
    status = ResponseStatus(row.status)
    if status is not ResponseStatus.CANCELLED:
        if status.has_ended:
            raise ResponseStateError(f"The response is {status.value} and cannot be cancelled.", status=status)
        await _cancel(session, principal, row)
    return await _described(session, row)


async def wake_response(session: AsyncSession, principal: Principal, *, response_id: UUID, input: str) -> Response:
    """End the sleep of a response, and give it something to go on with.

    Raises:
        ResponseNotFoundError: Not visible to the caller.
        ResponseInputError: The input is empty or too long.
        ResponseStateError: It is not asleep.
    """
    if not 1 <= len(input) <= MAX_WAKE_LENGTH:
        raise ResponseInputError(f"`input` must have 1 to {MAX_WAKE_LENGTH} characters.", param="input")
    row = await _get_row(session, principal, response_id, lock=True)
    status = ResponseStatus(row.status)
    if status.has_ended or row.sleeping_until is None:
        raise ResponseStateError(f"The response is {status.value} and not asleep.", status=status)
    if row.run_id is not None:
        agent_id = await _agent_of(session, row.run_id)
        await wake_run(session, principal, agent_id=agent_id, run_id=row.run_id, input=input)
    else:
        row.wake_input = input
        await _tell(session, Action.SIGNAL, row)
    await session.flush()
    return await _described(session, row)


async def list_input_items(
    session: AsyncSession, principal: Principal, *, response_id: UUID, after: str | None, limit: int, order: Order
) -> Page[Mapping[str, Any]]:
    """What a response was given.

    Raises:
        ResponseNotFoundError: Not visible to the caller.
        ResponseInputError: ``after`` is none of its input items.
    """
    row = await _get_row(session, principal, response_id)
    items = [one.item for one in await repository.list_items(session, row.id) if not one.is_output]
    if order is Order.DESC:
        items.reverse()
    if after is not None:
        places = [place for place, item in enumerate(items) if item["id"] == after]
        if not places:
            raise ResponseInputError("`after` is not the id of an input item of this response.", param="after")
        items = items[places[0] + 1 :]
    return Page(tuple(items[:limit]), len(items) > limit)


async def sweep_unstored(session: AsyncSession) -> int:
    """Delete what nobody wanted stored, once nothing goes on from it.

    Returns:
        How many responses were deleted.
    """
    old = ResponseRow.completed_at < utc_now() - UNSTORED_LIFETIME
    ids = (await session.scalars(select(ResponseRow.id).where(~ResponseRow.stored, old).limit(500))).all()
    if ids:
        await session.execute(delete(ResponseRow).where(ResponseRow.id.in_(ids)))
    return len(ids)


async def _check_models(new: NewResponse, tools: ResponseTools) -> None:
    fallbacks: Sequence[str] = new.settings.get("fallback_models") or ()
    if len(fallbacks) > MAX_FALLBACK_MODELS or "auto" in fallbacks:
        raise ResponseInputError(
            f"`fallback_models` may name at most {MAX_FALLBACK_MODELS} models, and not auto.", param="fallback_models"
        )
    if tools.catalog.stale:
        await tools.catalog.refresh()
    for model in (new.model, *fallbacks):
        tools.catalog.resolve(model, ModelRole.CANDIDATE)


async def _check_origin(session: AsyncSession, principal: Principal, new: NewResponse) -> None:
    if new.conversation_id is not None and new.previous_id is not None:
        raise ResponseInputError(
            "`conversation` and `previous_response_id` exclude each other; send the one that holds the context.",
            param="previous_response_id",
        )
    if new.conversation_id is not None:
        await get_conversation(session, principal, conversation_id=new.conversation_id)
    if new.previous_id is not None:
        previous = await repository.find_response(session, principal, new.previous_id)
        if previous is None:
            raise ResponseNotFoundError("There is no such response.", param="previous_response_id")
        status = ResponseStatus(previous.status)
        if not status.has_ended:
            raise ResponseStateError(f"The previous response is still {status.value}; wait for its end.", status=status)


async def _use_approvals(session: AsyncSession, row: ResponseRow, items: Sequence[Mapping[str, Any]]) -> None:
    """Note the decisions in a response's input, each for a request of what it goes on from, and each once."""
    decided = [item for item in items if item["type"] == "mcp_approval_response"]
    if not decided:
        return
    chain = await repository.read_chain(session, row.previous_id)
    for item in decided:
        request_id = item["approval_request_id"]
        asked = exists().where(
            ResponseItemRow.item_id == request_id, ResponseItemRow.response_id.in_(chain), ResponseItemRow.is_output
        )
        if not await session.scalar(select(asked)):
            raise ResponseInputError(
                f"No response before this one asked for the approval {request_id[:80]!r}; name the one that did as "
                "`previous_response_id`.",
                param="approval_request_id",
            )
        # Whoever else decides it meanwhile holds the row; the unique key settles it.
        if await session.get(UsedApprovalRow, request_id, with_for_update=True) is not None:
            raise ApprovalUsedError("This approval request was decided before.", param="approval_request_id")
        session.add(
            UsedApprovalRow(request_id=request_id, response_id=row.id, approved=item["approve"], created_at=utc_now())
        )


async def _cancel(session: AsyncSession, principal: Principal, row: ResponseRow) -> None:
    now = utc_now()
    row.status = ResponseStatus.CANCELLED.value
    row.completed_at = row.updated_at = now
    row.sleeping_until = None
    if row.run_id is not None:
        agent_id = await _agent_of(session, row.run_id)
        await cancel_run(session, principal, agent_id=agent_id, run_id=row.run_id)
    else:
        await _tell(session, Action.CANCEL, row)
    await session.flush()


async def _agent_of(session: AsyncSession, run_id: UUID) -> UUID:
    run = await find_run(session, run_id)
    if run is None:
        raise ResponseNotFoundError("The run of this response is gone.")
    return run.agent_id


async def _get_row(
    session: AsyncSession, principal: Principal, response_id: UUID, *, lock: bool = False
) -> ResponseRow:
    row = await repository.find_response(session, principal, response_id, lock=lock)
    if row is None:
        raise ResponseNotFoundError("There is no such response.", param="response_id")
    return row


async def _described(session: AsyncSession, row: ResponseRow) -> Response:
    outputs = await repository.read_outputs(session, [row.id])
    return repository.to_response(row, outputs[row.id])


async def _tell(session: AsyncSession, action: Action, row: ResponseRow) -> None:
    command = WorkflowCommand(
        action=action,
        workflow=RESPONSE_WORKFLOW,
        workflow_id=workflow_id(row.id),
        arguments={"response_id": str(row.id)},
    )
    await enqueue(session, command)


def _sealed(given: Sequence[Mapping[str, Any]], tools: ResponseTools, *, sealed: bool) -> list[dict[str, Any]]:
    if sealed:
        return [dict(tool) for tool in given]
    configuration = tools.sealer.seal(AgentConfiguration(name="", model="", tools=given))
    return [dict(tool) for tool in configuration.tools]
