"""Tools that refer to other rows: function tools and agents.

A reference is an id as the client wrote it, in the form of its API. All forms end with the 32 digits of the row's UUID,
so that is what is read here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import repository
from assay.core.agents.errors import UnknownReferenceError
from assay.core.projects.types import Principal

_HEX = re.compile(r"(?:^|_)([0-9a-f]{32})$")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
MAX_FUNCTION_NAME_LENGTH = 64


def read_reference(text: object) -> UUID | None:
    """The UUID of an id in any form; None when it holds none."""
    if not isinstance(text, str) or len(text) > 80:
        return None
    found = _HEX.search(text.replace("-", "").lower())
    return None if found is None else UUID(hex=found[1])


async def resolve_tools(
    session: AsyncSession, principal: Principal, tools: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The tools as a run needs them: definitions in place of references, and agents with their names.

    Raises:
        UnknownReferenceError: A function tool or an agent is not there, or was deleted.
    """
    return [await _resolve(session, principal, tool, f"tools[{index}]") for index, tool in enumerate(tools)]


async def _resolve(session: AsyncSession, principal: Principal, tool: Mapping[str, Any], path: str) -> dict[str, Any]:
    match tool.get("type"):
        case "function_reference":
            return await _resolve_function(session, principal, tool, path)
        case "agent":
            return await _resolve_agent(session, principal, tool, path)
        case _:
            return dict(tool)


async def _resolve_function(
    session: AsyncSession, principal: Principal, tool: Mapping[str, Any], path: str
) -> dict[str, Any]:
    written = tool.get("function_tool_id")
    tool_id = read_reference(written)
    row = None if tool_id is None else await repository.find_function_tool(session, principal, tool_id)
    if row is None:
        raise UnknownReferenceError(
            f"`{path}.function_tool_id`: there is no function tool {str(written)[:80]!r}. Remove the "
            "reference, or make the tool anew and refer to that.",
            param=f"{path}.function_tool_id",
        )
    return {**row.definition, "function_tool_id": written}


async def _resolve_agent(
    session: AsyncSession, principal: Principal, tool: Mapping[str, Any], path: str
) -> dict[str, Any]:
    written = tool.get("agent_id")
    agent_id = read_reference(written)
    found = None if agent_id is None else await repository.find_agent(session, principal, agent_id)
    if found is None:
        raise UnknownReferenceError(
            f"`{path}.agent_id`: there is no agent {str(written)[:80]!r} in this project.", param=f"{path}.agent_id"
        )
    configuration = repository.to_configuration(found.version.configuration)
    return {
        **tool,
        "name": tool.get("name") or agent_function_name(configuration.name),
        "description": tool.get("description") or configuration.description,
    }


def agent_function_name(name: str) -> str:
    """What a model calls an agent by, unless its tool says otherwise: ``agent_`` and the name in plain letters."""
    slug = _NOT_IN_A_NAME.sub("_", name.lower()).strip("_")
    return f"agent_{slug or 'unnamed'}"[:MAX_FUNCTION_NAME_LENGTH]
