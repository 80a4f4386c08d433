"""Tools and the results of their calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from assay.kit import json
from assay.sandbox import Program

MAX_RESULT_BYTES = 1024 * 1024
"""Most that a tool may answer; a longer answer is an error."""
EXTENSION = "x-assay"
"""Key in a function's ``parameters`` under which its endpoint or source stands. ``parameters`` is the one place of a
function definition in which the published client keeps unknown keys."""


class ToolFault(StrEnum):
    """Why a call has no result, in words that the model reads."""

    ARGUMENTS = "invalid_arguments"
    UNKNOWN = "unknown_tool"
    REFUSED = "address_refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STATUS = "http_status"
    TOO_LARGE = "too_large"
    NOT_JSON = "invalid_json"
    CODE = "code_failed"
    SERVER = "server_error"
    DENIED = "denied"
    INTERRUPTED = "interrupted"
    """The worker died in mid-call, and repeating it might do harm."""
    AGENT = "agent_failed"
    DEPTH = "depth_exceeded"


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What came of a call."""

    text: str
    """What the model reads."""
    fault: ToolFault | None = None

    @classmethod
    def failed(cls, fault: ToolFault, message: str) -> ToolOutcome:
        """An error, as JSON that names its kind."""
        return cls(json.dumps({"error": {"code": fault.value, "message": message}}), fault)


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The client carries it out: the response ends with the call, and the next one brings its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEndpoint:
    """A request for each call."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout_seconds: float = 30.0
    retries: int = 2
    """Further attempts after a fault, where a call may be repeated."""
    idempotent: bool = False
    """Whether a call may be repeated: it reads only, or the receiver honours ``Idempotency-Key``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSource:
    """``run(arguments)`` in the sandbox."""

    program: Program
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class AgentCall:
    """Another agent of the project, which is given ``input`` and gives back its answer."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Waits, until a time or until it is woken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """An MCP server."""

    label: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    allowed: Mapping[str, Any] | None = None
    """``{"tool_names"?: […], "read_only"?: bool}``; None allows all."""
    approval: str | Mapping[str, Any] = "always"
    """``always``, ``never``, or ``{"always"?: filter, "never"?: filter}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpTool:
    """A tool that an MCP server listed."""

    name: str
    description: str | None = None
    input_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    read_only: bool = False
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """What an MCP server offers, or why that is not known."""

    tools: tuple[McpTool, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class McpCall:
    """A tool of an MCP server."""

    server: McpServer
    tool: McpTool
    needs_approval: bool


Execution = HandedBack | HttpEndpoint | PythonSource | AgentCall | Sleep | McpCall


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the model sees it, and what carries it out."""

    name: str
    spec: Mapping[str, Any]
    """``{"type": "function", "name", "description"?, "parameters", "strict"?}``, without our extension."""
    execution: Execution

    @property
    def repeatable(self) -> bool:
        """Whether a call of which nobody knows whether it was carried out may be made again."""
        match self.execution:
            case HttpEndpoint(method=method, idempotent=idempotent):
                return idempotent or (method != "POST" and method != "PATCH")
            case McpCall(tool=tool):
                return tool.read_only or tool.idempotent
            case _:
                # The sandbox reaches nothing outside, a sleep does nothing, and an agent's run is found by its call.
                return True


@dataclass(frozen=True, slots=True)
class Toolset:
    """All tools of a response."""

    tools: tuple[Tool, ...] = ()
    servers: tuple[McpServer, ...] = ()
    """Their tools are added once they have listed them."""

    def find(self, name: str) -> Tool | None:
        """The tool of a name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def with_tools(self, more: Sequence[Tool]) -> Toolset:
        """The same set and these tools."""
        return Toolset((*self.tools, *more), self.servers)
