"""Carrying out a call of a tool, whatever its kind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from assay.core.tools.http import call_endpoint
from assay.core.tools.python import run_source
from assay.core.tools.types import (
    HttpEndpoint,
    Listing,
    McpCall,
    McpServer,
    PythonSource,
    Tool,
    ToolFault,
    ToolOutcome,
)
from assay.kit import json
from assay.outbound.client import GuardedClient
from assay.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class ToolBox:
    """What tools are carried out with."""

    guard: GuardedClient
    sandbox: Sandbox

    async def call(self, tool: Tool, arguments: str, *, key: str) -> ToolOutcome:
        """Carry out a call of a tool that is complete in itself; agents and sleeps are the workflow's.

        Args:
            tool: The tool.
            arguments: JSON text, as the model wrote it.
            key: Names this call to whoever receives it, whenever it is tried.

        Raises:
            SandboxUnavailableError: The sandbox is broken.
        """
        given = parse_arguments(arguments)
        if isinstance(given, ToolOutcome):
            return given
        match tool.execution:
            case HttpEndpoint() as endpoint:
                return await call_endpoint(self.guard, tool, endpoint, given, key=key)
            case PythonSource() as source:
                return await run_source(self.sandbox, source, given)
            case McpCall(server=server, tool=listed):
                mcp = await _mcp()
                return await mcp.call_tool(self.guard, server, listed.name, given, key=key)
            case _:
                raise TypeError(f"{tool.name} is not carried out here")

    async def list_tools(self, server: McpServer) -> Listing:
        """Ask an MCP server what it offers."""
        mcp = await _mcp()
        return await mcp.list_tools(self.guard, server)


async def _mcp() -> ModuleType:
    """The protocol's library takes a second to import, which processes that meet no MCP server shall not wait for."""
    return await asyncio.to_thread(import_module, "assay.core.tools.mcp")


def parse_arguments(arguments: str) -> Mapping[str, Any] | ToolOutcome:
    """The arguments of a call, or the error that the model is told."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError as fault:
        return ToolOutcome.failed(ToolFault.ARGUMENTS, f"The arguments are not JSON: {fault}")
    if not isinstance(value, dict):
        return ToolOutcome.failed(ToolFault.ARGUMENTS, "The arguments must be a JSON object.")
    return cast("dict[str, Any]", value)
