"""From tools as clients write them to a ``Toolset``.

    {"type": "function", "name": …, "parameters": {…, "x-assay": {"http": {…}}}}          an HTTP endpoint
    {"type": "function", "name": …, "parameters": {…, "x-assay": {"python": {…}}}}        Python source
    {"type": "function", "name": …, "parameters": {…}}                                    the client's own
    {"type": "agent", "agent_id": …}   {"type": "mcp", "server_url": …}   {"type": "sleep"}

References to stored functions are resolved before (``core.agents``). Every other kind is refused by name: a tool that
is left out in silence would make an agent that seems to work.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from assay.core.tools.errors import ToolDefinitionError, UnsupportedToolError
from assay.core.tools.types import (
    EXTENSION,
    AgentCall,
    Execution,
    HandedBack,
    HttpEndpoint,
    McpCall,
    McpServer,
    McpTool,
    PythonSource,
    Sleep,
    Tool,
    Toolset,
)
from assay.outbound.errors import OutboundError
from assay.outbound.policy import OutboundPolicy
from assay.sandbox import EntryPoint, SandboxCodeError, check_program

MAX_TOOLS = 128
MAX_TIMEOUT_SECONDS = 120.0
MAX_RETRIES = 5
MAX_SLEEP_SECONDS = 7 * 24 * 3600

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_EMPTY_SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {}}
_AGENT_PARAMETERS = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole task; the agent sees nothing else."}},
    "required": ["input"],
    "additionalProperties": False,
}
_SLEEP_PARAMETERS = {
    "type": "object",
    "properties": {
        "duration_seconds": {"type": "number", "minimum": 0, "maximum": MAX_SLEEP_SECONDS},
        "reason": {"type": "string"},
    },
    "required": ["duration_seconds"],
    "additionalProperties": False,
}


def parse_tools(tools: Sequence[Mapping[str, Any]], policy: OutboundPolicy) -> Toolset:
    """Check tools and find out what carries each out.

    Args:
        tools: In the form of the Responses API, references resolved.
        policy: Where endpoints may be.

    Raises:
        UnsupportedToolError: A kind of tool that cannot be carried out here.
        ToolDefinitionError: A definition is wrong.
    """
    if len(tools) > MAX_TOOLS:
        raise ToolDefinitionError(f"`tools` has {len(tools)} entries; at most {MAX_TOOLS} are allowed.", param="tools")
    made: list[Tool] = []
    servers: list[McpServer] = []
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if tool.get("type") == "mcp":
            servers.append(_server(tool, where, policy))
        else:
            made.append(_tool(tool, where, policy))
    _check_unique((tool.name for tool in made), "name")
    _check_unique((server.label for server in servers), "server_label")
    return Toolset(tuple(made), tuple(servers))


def server_tools(server: McpServer, listed: Sequence[McpTool]) -> list[Tool]:
    """The tools of a server that the model may call."""
    return [
        Tool(name, _function(name, tool.description, dict(tool.input_schema) or dict(_EMPTY_SCHEMA)), call)
        for tool in listed
        if server.allowed is None or _matches(server.allowed, tool)
        for name in [_qualified(server.label, tool.name)]
        for call in [McpCall(server, tool, _needs_approval(server, tool))]
    ]


def _tool(tool: Mapping[str, Any], where: str, policy: OutboundPolicy) -> Tool:
    match tool.get("type"):
        case "function":
            return _function_tool(tool, where, policy)
        case "agent":
            agent_id = _text(tool, "agent_id", where)
            name = tool.get("name") or f"agent_{agent_id.removeprefix('agt_')[:32]}"
            return Tool(
                _checked_name(name, where),
                _function(name, tool.get("description"), _AGENT_PARAMETERS),
                AgentCall(agent_id),
            )
        case "sleep":
            spec = _function("sleep", "Pause for a while; you go on afterwards.", _SLEEP_PARAMETERS)
            return Tool("sleep", spec, Sleep())
        case kind:
            raise UnsupportedToolError(
                f"`{where}`: tools of type {str(kind)[:64]!r} cannot be carried out here. There are function, "
                "function_reference, agent, mcp and sleep.",
                param=where,
                data={"type": str(kind)[:64]},
            )


def _function_tool(tool: Mapping[str, Any], where: str, policy: OutboundPolicy) -> Tool:
    name = _checked_name(tool.get("name"), where)
    parameters = dict(_mapping(tool.get("parameters") or _EMPTY_SCHEMA, f"{where}.parameters"))
    extension = parameters.pop(EXTENSION, None)
    execution: Execution = HandedBack()
    if extension is not None:
        place = f"{where}.parameters.{EXTENSION}"
        execution = _execution(_mapping(extension, place), place, policy)
    spec = _function(name, tool.get("description"), parameters)
    if tool.get("strict") is not None:
        spec["strict"] = tool["strict"]
    return Tool(name, spec, execution)


def _execution(extension: Mapping[str, Any], where: str, policy: OutboundPolicy) -> Execution:
    if set(extension) == {"http"}:
        return _endpoint(_mapping(extension["http"], f"{where}.http"), f"{where}.http", policy)
    if set(extension) == {"python"}:
        return _source(_mapping(extension["python"], f"{where}.python"), f"{where}.python")
    raise ToolDefinitionError(f"`{where}` must hold exactly one of `http` and `python`.", param=where)


def _endpoint(given: Mapping[str, Any], where: str, policy: OutboundPolicy) -> HttpEndpoint:
    _refuse_unknown(given, {"url", "method", "headers", "timeout_seconds", "retries", "idempotent"}, where)
    url = _checked_url(given, "url", where, policy)
    method = str(given.get("method", "POST")).upper()
    if method not in _METHODS:
        raise ToolDefinitionError(f"`{where}.method` must be one of {', '.join(sorted(_METHODS))}.", param=where)
    retries = given.get("retries", 2)
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MAX_RETRIES:
        raise ToolDefinitionError(f"`{where}.retries` must be an integer from 0 to {MAX_RETRIES}.", param=where)
    idempotent = given.get("idempotent", False)
    if not isinstance(idempotent, bool):
        raise ToolDefinitionError(f"`{where}.idempotent` must be true or false.", param=where)
    return HttpEndpoint(
        url=url,
        method=method,
        headers=_headers(given.get("headers"), f"{where}.headers"),
        timeout_seconds=_seconds(given, where),
        retries=retries,
        idempotent=idempotent,
    )


def _source(given: Mapping[str, Any], where: str) -> PythonSource:
    _refuse_unknown(given, {"source", "timeout_seconds"}, where)
    try:
        program = check_program(_text(given, "source", where), entry_point=EntryPoint.RUN)
    except SandboxCodeError as fault:
        raise ToolDefinitionError(f"`{where}.source`: {fault.message}", param=f"{where}.source") from fault
    return PythonSource(program=program, timeout_seconds=_seconds(given, where))


def _server(tool: Mapping[str, Any], where: str, policy: OutboundPolicy) -> McpServer:
    for name in ("mcp_server_id", "mcp_credential_id", "connector_id"):
        if tool.get(name) is not None:
            raise UnsupportedToolError(
                f"`{where}.{name}`: stored MCP servers are not known here; give `server_label` and `server_url`.",
                param=f"{where}.{name}",
                data={"type": "mcp", "field": name},
            )
    headers = _headers(tool.get("headers"), f"{where}.headers")
    if tool.get("authorization") is not None:
        headers["Authorization"] = f"Bearer {_text(tool, 'authorization', where)}"
    allowed = tool.get("allowed_tools")
    approval = tool.get("require_approval")
    return McpServer(
        label=_checked_name(tool.get("server_label"), where, field="server_label"),
        url=_checked_url(tool, "server_url", where, policy),
        headers=headers,
        allowed=None if allowed is None else _filter(allowed, f"{where}.allowed_tools"),
        approval="always" if approval is None else _approval(approval, f"{where}.require_approval"),
    )


def _approval(value: Any, where: str) -> str | Mapping[str, Any]:
    if value in ("always", "never"):
        return cast(str, value)
    rules = _mapping(value, where)
    _refuse_unknown(rules, {"always", "never"}, where)
    return {name: _filter(rule, f"{where}.{name}") for name, rule in rules.items() if rule is not None}


def _filter(value: Any, where: str) -> Mapping[str, Any]:
    given = _mapping({"tool_names": value} if type(value) is list else value, where)
    _refuse_unknown(given, {"tool_names", "read_only"}, where)
    names: Any = given.get("tool_names")
    listed = cast("list[Any]", names) if isinstance(names, list) else None
    if names is not None and (listed is None or not all(isinstance(name, str) for name in listed)):
        raise ToolDefinitionError(f"`{where}.tool_names` must be a list of names.", param=where)
    return given


def _needs_approval(server: McpServer, tool: McpTool) -> bool:
    if isinstance(server.approval, str):
        return server.approval == "always"
    never, always = server.approval.get("never"), server.approval.get("always")
    if always is not None and _matches(always, tool):
        return True
    # A tool that no rule names is asked for: silence must not be consent.
    return never is None or not _matches(never, tool)


def _matches(rule: Mapping[str, Any], tool: McpTool) -> bool:
    names, read_only = rule.get("tool_names"), rule.get("read_only")
    return (names is None or tool.name in names) and (read_only is None or tool.read_only is read_only)


def _qualified(label: str, name: str) -> str:
    """A name for the model that says whose the tool is, in the characters that providers accept."""
    full = re.sub(r"[^A-Za-z0-9_-]", "_", f"{label}__{name}")
    return full if len(full) <= 64 else f"{full[:55]}_{hashlib.sha256(full.encode()).hexdigest()[:8]}"


def _function(name: Any, description: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": "function", "name": name, "parameters": dict(parameters)}
    if description:
        spec["description"] = str(description)
    return spec


def _checked_name(value: Any, where: str, *, field: str = "name") -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ToolDefinitionError(
            f"`{where}.{field}` must have 1 to 64 letters, digits, underscores or hyphens.", param=f"{where}.{field}"
        )
    return value


def _check_unique(names: Iterable[str], field: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ToolDefinitionError(f"`tools`: two tools have the {field} {name!r}.", param="tools")
        seen.add(name)


def _checked_url(given: Mapping[str, Any], field: str, where: str, policy: OutboundPolicy) -> str:
    try:
        return str(policy.check_url(_text(given, field, where), param=f"{where}.{field}"))
    except OutboundError as fault:
        raise ToolDefinitionError(fault.message, param=f"{where}.{field}") from fault


def _text(given: Mapping[str, Any], field: str, where: str) -> str:
    value = given.get(field)
    if not isinstance(value, str) or not value:
        raise ToolDefinitionError(f"`{where}.{field}` is missing, or is not a text.", param=f"{where}.{field}")
    return value


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ToolDefinitionError(f"`{where}` must be an object.", param=where)
    return cast("Mapping[str, Any]", value)


def _refuse_unknown(given: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(given) - known):
        raise ToolDefinitionError(
            f"`{where}.{unknown[0][:64]}` is not known; there are {', '.join(sorted(known))}.", param=where
        )


def _headers(value: Any, where: str) -> dict[str, str]:
    headers = dict(_mapping(value or {}, where))
    for name, text in headers.items():
        if not isinstance(text, str) or not name.isascii() or any(c in name + text for c in "\r\n\0"):
            raise ToolDefinitionError(f"`{where}.{name[:64]}` is not a header.", param=where)
    return cast("dict[str, str]", headers)


def _seconds(given: Mapping[str, Any], where: str) -> float:
    value = given.get("timeout_seconds", 30.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.1 <= value <= MAX_TIMEOUT_SECONDS:
        raise ToolDefinitionError(
            f"`{where}.timeout_seconds` must lie between 0.1 and {MAX_TIMEOUT_SECONDS:g}.", param=where
        )
    return float(value)
