"""Real servers that tools reach: an HTTP endpoint that misbehaves on demand, and an MCP server. Both count."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations


@dataclass(slots=True)
class McpAt:
    """A running MCP server."""

    url: str
    calls: Counter[str] = field(default_factory=Counter[str])
    """By tool."""


@asynccontextmanager
async def mcp_server() -> AsyncGenerator[McpAt]:
    """An MCP server over streamable HTTP on loopback, with tools that work, fail, hang and flood."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    at = McpAt(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp")
    app = _server(at).streamable_http_app(stateless_http=True)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    task = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield at
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listening.close()


def _server(at: McpAt) -> MCPServer:
    server = MCPServer("numbers")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def double(x: int) -> str:
        """Twice a number."""
        at.calls["double"] += 1
        return str(2 * x)

    @server.tool()
    def fail() -> str:
        """Fails."""
        at.calls["fail"] += 1
        raise ValueError("no luck")

    @server.tool()
    async def hang() -> str:
        """Takes very long."""
        at.calls["hang"] += 1
        await asyncio.sleep(3600)
        return ""

    @server.tool()
    def flood() -> str:
        """Answers with ten million characters."""
        at.calls["flood"] += 1
        return "x" * 10_000_000

    return server
