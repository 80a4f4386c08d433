"""Every way in which a call can go wrong ends in an error that the model reads, within the tool's limits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest
from tests.support.receiver import Receiver
from tests.support.tool_server import McpAt, mcp_server

from assay.core.tools.definitions import parse_tools, server_tools
from assay.core.tools.errors import ToolDefinitionError, UnsupportedToolError
from assay.core.tools.service import ToolBox
from assay.core.tools.types import McpServer, Tool, ToolFault
from assay.outbound.client import GuardedClient
from assay.outbound.policy import OutboundPolicy
from assay.sandbox import MontySandbox

LOOPBACK = OutboundPolicy.of([], [ip_network("127.0.0.1/32")])


@pytest.fixture(scope="module")
async def toolbox() -> AsyncIterator[ToolBox]:
    async with MontySandbox(max_workers=1) as sandbox:
        yield ToolBox(GuardedClient(LOOPBACK), sandbox)


@pytest.fixture
async def endpoint() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def mcp() -> AsyncIterator[McpAt]:
    async with mcp_server() as at:
        yield at


def http_tool(url: str, **fields: Any) -> Tool:
    given = {"url": url, "timeout_seconds": 1.0, **fields}
    parameters = {"type": "object", "x-assay": {"http": given}}
    return parse_tools([{"type": "function", "name": "f", "parameters": parameters}], LOOPBACK).tools[0]


def python_tool(source: str, **fields: Any) -> Tool:
    parameters = {"type": "object", "x-assay": {"python": {"source": source, **fields}}}
    return parse_tools([{"type": "function", "name": "f", "parameters": parameters}], LOOPBACK).tools[0]


def fault_of(text: str) -> Mapping[str, Any]:
    return json.loads(text)["error"]


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    fault: ToolFault
    says: str
    prepare: Callable[[Receiver], None] = field(default=lambda _: None)
    url: str | None = None
    arguments: str = "{}"


def _hang(receiver: Receiver) -> None:
    receiver.hold.clear()


def _status(status: int) -> Callable[[Receiver], None]:
    def prepare(receiver: Receiver) -> None:
        receiver.status = status

    return prepare


def _huge(receiver: Receiver) -> None:
    receiver.huge_bytes = 10_000_000


def _not_json(receiver: Receiver) -> None:
    receiver.body = b'{"a": '


CASES = [
    Case("hangs", ToolFault.TIMEOUT, "No answer within 1 s", _hang),
    Case("500", ToolFault.STATUS, "answered 500", _status(500)),
    Case("redirect", ToolFault.STATUS, "answered 302", _status(302)),
    Case("10 MB", ToolFault.TOO_LARGE, "1,048,576 bytes", _huge),
    Case("not JSON", ToolFault.NOT_JSON, "is not", _not_json),
    Case("private address", ToolFault.REFUSED, "private address", url="https://10.0.0.1/x"),
    Case("metadata address", ToolFault.REFUSED, "metadata", url="https://169.254.169.254/latest"),
    Case("nobody listens", ToolFault.UNREACHABLE, "No connection", url="http://127.0.0.1:1/"),
    Case("arguments that are no JSON", ToolFault.ARGUMENTS, "not JSON", arguments="{"),
    Case("arguments that are no object", ToolFault.ARGUMENTS, "object", arguments="[]"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_endpoint_that_fails(case: Case, endpoint: Receiver, toolbox: ToolBox) -> None:
    endpoint.content_type, endpoint.body = "application/json", b"{}"
    case.prepare(endpoint)
    tool = http_tool(case.url or f"http://127.0.0.1:{endpoint.port}/tool")

    outcome = await toolbox.call(tool, case.arguments, key="k")

    assert outcome.fault is case.fault
    said = fault_of(outcome.text)
    assert said["code"] == case.fault.value
    assert case.says in said["message"]
    assert len(endpoint.requests) <= 1


async def test_an_endpoint_is_given_the_arguments_and_a_key(endpoint: Receiver, toolbox: ToolBox) -> None:
    tool = http_tool(f"http://127.0.0.1:{endpoint.port}/tool", headers={"X-Token": "t"})
    outcome = await toolbox.call(tool, '{"a": [1]}', key="call-1")

    assert (outcome.text, outcome.fault) == ("ok", None)
    [request] = endpoint.requests
    assert (request.method, json.loads(request.body)) == ("POST", {"a": [1]})
    assert request.headers["Idempotency-Key"] == "call-1"
    assert request.headers["X-Token"] == "t"


async def test_only_what_may_be_repeated_is_tried_again(endpoint: Receiver, toolbox: ToolBox) -> None:
    url = f"http://127.0.0.1:{endpoint.port}/tool"
    for fields, tries in (({}, 1), ({"idempotent": True}, 2), ({"method": "GET"}, 2)):
        endpoint.requests.clear()
        endpoint.statuses = [503]
        outcome = await toolbox.call(http_tool(url, **fields), "{}", key="same")
        assert len(endpoint.requests) == tries, fields
        assert (outcome.fault is None) is (tries == 2)
        assert {request.headers["Idempotency-Key"] for request in endpoint.requests} == {"same"}


@pytest.mark.parametrize(
    ("source", "fault", "says"),
    [
        ("def run(arguments):\n    return arguments['missing']\n", ToolFault.CODE, "KeyError"),
        ("def run(arguments):\n    while True:\n        pass\n", ToolFault.TIMEOUT, "s"),
        ("def run(arguments):\n    return float('nan')\n", ToolFault.CODE, "nan"),
        ("def run(arguments):\n    return 'x' * 2_000_000\n", ToolFault.CODE, "limit"),
        ("def run(arguments):\n    return open('/etc/passwd').read()\n", ToolFault.CODE, ""),
    ],
)
async def test_source_that_fails(source: str, fault: ToolFault, says: str, toolbox: ToolBox) -> None:
    outcome = await toolbox.call(python_tool(source, timeout_seconds=0.5), "{}", key="k")
    assert outcome.fault is fault, outcome.text
    assert says in fault_of(outcome.text)["message"]


async def test_source_returns_any_json(toolbox: ToolBox) -> None:
    tool = python_tool("def run(arguments):\n    return {'sum': sum(arguments['of'])}\n")
    assert (await toolbox.call(tool, '{"of": [1, 2]}', key="k")).text == '{"sum":3}'


async def test_tools_of_an_mcp_server(mcp: McpAt, toolbox: ToolBox) -> None:
    server = McpServer(label="numbers", url=mcp.url, approval="never")
    listing = await toolbox.list_tools(server)
    assert listing.error is None
    tools = {tool.name: tool for tool in server_tools(server, listing.tools)}
    assert set(tools) == {f"numbers__{name}" for name in ("double", "fail", "hang", "flood")}
    assert tools["numbers__double"].repeatable
    assert not tools["numbers__fail"].repeatable

    assert (await toolbox.call(tools["numbers__double"], '{"x": 21}', key="k")).text == "42"
    failed = await toolbox.call(tools["numbers__fail"], "{}", key="k")
    assert failed.fault is ToolFault.SERVER
    assert "Error executing tool fail" in failed.text
    flooded = await toolbox.call(tools["numbers__flood"], "{}", key="k")
    assert flooded.fault is ToolFault.TOO_LARGE, flooded.text
    wrong = await toolbox.call(tools["numbers__double"], '{"x": "y"}', key="k")
    assert wrong.fault is ToolFault.SERVER


async def test_an_mcp_server_that_hangs(mcp: McpAt, toolbox: ToolBox, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.core.tools.mcp import call_tool

    server = McpServer(label="numbers", url=mcp.url, approval="never")
    outcome = await call_tool(toolbox.guard, server, "hang", {}, key="k", timeout_seconds=0.5)
    assert outcome.fault is ToolFault.TIMEOUT


@pytest.mark.parametrize(
    ("url", "says"),
    [("https://10.0.0.1/mcp", "private address"), ("http://127.0.0.1:1/mcp", "No usable answer")],
)
async def test_an_mcp_server_that_cannot_be_reached(url: str, says: str, toolbox: ToolBox) -> None:
    listing = await toolbox.list_tools(McpServer(label="numbers", url=url))
    assert listing.tools == ()
    assert says in (listing.error or "")


@pytest.mark.parametrize(
    ("tool", "error", "param"),
    [
        ({"type": "web_search"}, UnsupportedToolError, "tools[0]"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, UnsupportedToolError, "tools[0]"),
        ({"type": "mcp", "server_label": "a", "mcp_server_id": "m"}, UnsupportedToolError, "tools[0].mcp_server_id"),
        ({"type": "mcp", "server_label": "a"}, ToolDefinitionError, "tools[0].server_url"),
        (
            {"type": "mcp", "server_label": "a", "server_url": "http://x.example"},
            ToolDefinitionError,
            "tools[0].server_url",
        ),
        ({"type": "function", "name": "a b"}, ToolDefinitionError, "tools[0].name"),
        (
            {"type": "function", "name": "f", "parameters": {"x-assay": {}}},
            ToolDefinitionError,
            "tools[0].parameters.x-assay",
        ),
        (
            {"type": "function", "name": "f", "parameters": {"x-assay": {"python": {"source": "def go(): pass"}}}},
            ToolDefinitionError,
            "tools[0].parameters.x-assay.python.source",
        ),
    ],
)
def test_definitions_that_are_refused(tool: dict[str, Any], error: type[Exception], param: str) -> None:
    with pytest.raises(error) as caught:
        parse_tools([tool], LOOPBACK)
    assert getattr(caught.value, "param", None) == param


@pytest.mark.parametrize(
    ("approval", "asked"),
    [
        ("always", {"double", "fail", "hang", "flood"}),
        ("never", set[str]()),
        ({"never": {"read_only": True}}, {"fail", "hang", "flood"}),
        ({"always": {"tool_names": ["fail"]}, "never": {"tool_names": ["fail", "hang"]}}, {"double", "fail", "flood"}),
    ],
)
async def test_which_calls_are_asked_for(approval: Any, asked: set[str], mcp: McpAt, toolbox: ToolBox) -> None:
    server = McpServer(label="n", url=mcp.url, approval=approval)
    tools = server_tools(server, (await toolbox.list_tools(server)).tools)
    assert {tool.name.removeprefix("n__") for tool in tools if tool.execution.needs_approval} == asked  # type: ignore[union-attr]
