"""What a user can do with function tools (M§3.3).

Agents refer to them, and each run takes the definition as it is when the run is made. A deleted tool's agents cannot be
run until the reference is removed; runs that were made before go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import repository
from assay.core.agents.configuring import check_definition
from assay.core.agents.errors import FunctionToolNotFoundError
from assay.core.agents.models import FunctionToolRow
from assay.core.agents.types import FunctionTool
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.db.paging import Order, Page
from assay.kit.clock import utc_now
from assay.kit.ids import new_id


async def create_function_tool(
    session: AsyncSession, principal: Principal, *, definition: Mapping[str, Any]
) -> FunctionTool:
    """Make a function tool.

    Raises:
        AgentInputError: The definition is not one of a function.
    """
    now = utc_now()
    row = FunctionToolRow(
        id=new_id(),
        **owner_columns(principal),
        definition=dict(check_definition(definition)),
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    return repository.to_function_tool(row)


async def get_function_tool(session: AsyncSession, principal: Principal, *, tool_id: UUID) -> FunctionTool:
    """One function tool.

    Raises:
        FunctionToolNotFoundError: Not visible to the caller.
    """
    return repository.to_function_tool(await _get_row(session, principal, tool_id))


async def list_function_tools(
    session: AsyncSession, principal: Principal, *, after: UUID | None, limit: int, order: Order
) -> Page[FunctionTool]:
    """Visible function tools by age.

    Raises:
        UnknownCursorError: ``after`` is none of them.
    """
    page = await repository.list_function_tools(session, principal, after=after, limit=limit, order=order)
    return page.map(repository.to_function_tool)


async def replace_function_tool(
    session: AsyncSession, principal: Principal, *, tool_id: UUID, definition: Mapping[str, Any]
) -> FunctionTool:
    """Give a function tool another definition, which reaches every agent with its next run.

    Raises:
        FunctionToolNotFoundError: Not visible to the caller.
        AgentInputError: The definition is not one of a function.
    """
    row = await _get_row(session, principal, tool_id, lock=True)
    row.definition = dict(check_definition(definition))
    row.updated_at = utc_now()
    await session.flush()
    return repository.to_function_tool(row)


async def delete_function_tool(session: AsyncSession, principal: Principal, *, tool_id: UUID) -> None:
    """Hide a function tool.

    Raises:
        FunctionToolNotFoundError: Not visible to the caller.
    """
    row = await _get_row(session, principal, tool_id, lock=True)
    row.deleted_at = row.updated_at = utc_now()
    await session.flush()


async def _get_row(
    session: AsyncSession, principal: Principal, tool_id: UUID, *, lock: bool = False
) -> FunctionToolRow:
    row = await repository.find_function_tool(session, principal, tool_id, lock=lock)
    if row is None:
        raise FunctionToolNotFoundError("No such function tool.", param="tool_id")
    return row
