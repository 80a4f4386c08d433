"""Function tools (M§3.3)."""

from __future__ import annotations

from uuid import UUID

from assay.core.agents import tools
from assay.db.paging import Order
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.agents import from_definition, to_function_tool
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.query import AfterFunctionTool, PageLimit
from assay.dialects.mka1.route import AgentsReader, AgentsWriter, Session, mka1_router
from assay.dialects.mka1.wire.agents import FunctionDefinition, WireFunctionTool, WireFunctionToolDeleted
from assay.dialects.mka1.wire.base import WireList

router = mka1_router("/api/v1/agents/function-tools", tag="function tools")


@router.get("")
async def list_function_tools(
    caller: AgentsReader,
    session: Session,
    after: AfterFunctionTool = None,
    limit: PageLimit = 20,
    order: Order = Order.DESC,
) -> WireList[WireFunctionTool]:
    """List function tools by age."""
    page = await tools.list_function_tools(session, caller, after=after, limit=limit, order=order)
    return mapping.to_list(page, to_function_tool)


@router.post("", status_code=201)
async def create_function_tool(body: FunctionDefinition, caller: AgentsWriter, session: Session) -> WireFunctionTool:
    """Create a function tool."""
    return to_function_tool(await tools.create_function_tool(session, caller, definition=from_definition(body)))


@router.get("/{tool_id}")
async def get_function_tool(tool_id: str, caller: AgentsReader, session: Session) -> WireFunctionTool:
    """Retrieve a function tool."""
    return to_function_tool(await tools.get_function_tool(session, caller, tool_id=_read(tool_id)))


@router.post("/{tool_id}")
async def update_function_tool(
    tool_id: str, body: FunctionDefinition, caller: AgentsWriter, session: Session
) -> WireFunctionTool:
    """Replace a function tool's definition, which reaches every agent with its next run."""
    tool = await tools.replace_function_tool(session, caller, tool_id=_read(tool_id), definition=from_definition(body))
    return to_function_tool(tool)


@router.delete("/{tool_id}")
async def delete_function_tool(tool_id: str, caller: AgentsWriter, session: Session) -> WireFunctionToolDeleted:
    """Delete a function tool; agents that refer to it cannot be run until they do not."""
    await tools.delete_function_tool(session, caller, tool_id=_read(tool_id))
    return WireFunctionToolDeleted(id=tool_id, object="agent.function_tool.deleted", deleted=True)


def _read(tool_id: str) -> UUID:
    return read_id(Prefix.FUNCTION_TOOL, tool_id, param="tool_id")
