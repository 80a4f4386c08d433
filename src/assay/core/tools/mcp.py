"""Tools of MCP servers over streamable HTTP, through the protocol's own library and our guard.

Each list and each call is a connection of its own: servers are somebody else's, and a session kept open would tie a
durable run to one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent
from mcp_types import Tool as ListedTool

from assay.core.tools.types import MAX_RESULT_BYTES, Listing, McpServer, McpTool, ToolFault, ToolOutcome
from assay.kit import json
from assay.outbound.client import GuardedClient
from assay.outbound.errors import AddressRefusedError, OutboundError, ResponseTooLargeError, UrlRefusedError
from assay.outbound.transport import GuardedTransport

TIMEOUT_SECONDS = 60.0
MAX_LISTED_TOOLS = 128
_MAX_MESSAGE = 2000


async def list_tools(guard: GuardedClient, server: McpServer, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Listing:
    """Ask a server for its tools: at most 128 are taken."""
    try:
        async with asyncio.timeout(timeout_seconds), _connected(guard, server) as client:
            tools: list[ListedTool] = []
            cursor: str | None = None
            while len(tools) < MAX_LISTED_TOOLS:
                page = await client.list_tools(cursor=cursor)
                tools += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    break
    except TimeoutError:
        return Listing(error=f"No answer within {timeout_seconds:g} s.")
    except Exception as fault:
        return Listing(error=_describe(fault)[1])
    return Listing(tuple(_listed(tool) for tool in tools[:MAX_LISTED_TOOLS]))


async def call_tool(
    guard: GuardedClient,
    server: McpServer,
    name: str,
    arguments: Mapping[str, Any],
    *,
    key: str,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> ToolOutcome:
    """Call a tool once.

    Args:
        guard: Sends the requests.
        server: Whose tool.
        name: Its name there.
        arguments: What the model gave.
        key: Sent as ``Idempotency-Key`` with every request of this call.
        timeout_seconds: Of connecting and calling together.
    """
    try:
        async with asyncio.timeout(timeout_seconds), _connected(guard, server, key=key) as client:
            result = await client.call_tool(name, dict(arguments))
    except TimeoutError:
        return ToolOutcome.failed(ToolFault.TIMEOUT, f"No answer within {timeout_seconds:g} s.")
    except Exception as fault:
        return ToolOutcome.failed(*_describe(fault))
    return _outcome(result)


@asynccontextmanager
async def _connected(guard: GuardedClient, server: McpServer, *, key: str | None = None) -> AsyncGenerator[Client]:
    headers = dict(server.headers) if key is None else {**server.headers, "Idempotency-Key": key}
    transport = GuardedTransport(guard, max_response_bytes=4 * MAX_RESULT_BYTES)
    async with (
        httpx2.AsyncClient(transport=transport, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False) as http,
        Client(streamable_http_client(server.url, http_client=http, max_sse_event_size=2 * MAX_RESULT_BYTES)) as client,
    ):
        yield client


def _listed(tool: ListedTool) -> McpTool:
    hints = tool.annotations
    return McpTool(
        name=tool.name,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        read_only=hints is not None and hints.read_only_hint is True,
        idempotent=hints is not None and hints.idempotent_hint is True,
    )


def _outcome(result: CallToolResult) -> ToolOutcome:
    texts = [
        block.text if isinstance(block, TextContent) else json.dumps({"type": block.type, "omitted": True})
        for block in result.content
    ]
    text = "\n".join(texts)
    if not texts and result.structured_content is not None:
        text = json.dumps(result.structured_content)
    text = text.replace("\0", "�")
    if len(text.encode()) > MAX_RESULT_BYTES:
        return ToolOutcome.failed(ToolFault.TOO_LARGE, f"The answer is longer than {MAX_RESULT_BYTES:,} bytes.")
    if result.is_error:
        return ToolOutcome.failed(ToolFault.SERVER, text[:_MAX_MESSAGE] or "The tool failed without a word.")
    return ToolOutcome(text)


def _describe(fault: BaseException) -> tuple[ToolFault, str]:
    """What went wrong, found below the task groups and wrappers of the library."""
    for cause in _causes(fault):
        match cause:
            case AddressRefusedError() | UrlRefusedError():
                return ToolFault.REFUSED, cause.message
            case ResponseTooLargeError():
                return ToolFault.TOO_LARGE, cause.message
            case OutboundError():
                return ToolFault.UNREACHABLE, cause.message
            case httpx2.TimeoutException():
                return ToolFault.TIMEOUT, "The server did not answer in time."
            case httpx2.TransportError():
                return ToolFault.UNREACHABLE, f"No usable answer from the server: {type(cause).__name__}"
            case MCPError():
                return ToolFault.SERVER, str(cause)[:_MAX_MESSAGE]
            case _:
                continue
    return ToolFault.SERVER, f"{type(fault).__name__}: {str(fault)[:_MAX_MESSAGE]}"


def _causes(fault: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    waiting: list[BaseException] = [fault]
    while waiting:
        error = waiting.pop()
        if error in found:
            continue
        found.append(error)
        if isinstance(error, BaseExceptionGroup):
            waiting += list(error.exceptions)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - exceptions of any type
        waiting += [inner for inner in (error.__cause__, error.__context__) if inner is not None]
    # What the guard or the transport said tells more than what was made of it.
    return sorted(found, key=lambda error: isinstance(error, MCPError))
