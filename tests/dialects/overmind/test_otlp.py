"""The standard's own exporter sends spans; they come back as traces, and are events for every other API (O§2.7)."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from tests.dialects.overmind.conftest import Caller
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

PATHS = ["/api/v1/traces", "/api/otlp/v1/traces"]
PROTOBUF = {"Content-Type": "application/x-protobuf"}


async def export(
    live: LiveServer, token: str, work: Callable[[Tracer], None], *, path: str = PATHS[0], **resource: str
) -> None:
    """Do the work with a tracer whose spans go to the server."""

    def run() -> None:
        exporter = OTLPSpanExporter(
            f"{live.url}{path}", headers={"Authorization": f"Bearer {token}"}, compression=Compression.Gzip
        )
        described = Resource.create({name.replace("__", "."): value for name, value in resource.items()})
        provider = TracerProvider(resource=described, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        try:
            work(provider.get_tracer("lib", "1.2"))
        finally:
            provider.shutdown()

    await asyncio.to_thread(run)


def traced(ids: list[str], **attributes: Any) -> Callable[[Tracer], None]:
    """An agent's run with a model call and a tool call that fails."""

    def work(tracer: Tracer) -> None:
        told = {name.replace("__", "."): value for name, value in attributes.items()}
        with tracer.start_as_current_span("run agent", kind=SpanKind.SERVER, attributes=told) as root:
            ids.append(format(root.get_span_context().trace_id, "032x"))
            with tracer.start_as_current_span("chat m") as call:
                call.set_attributes(
                    {
                        "gen_ai.operation.name": "chat",
                        "gen_ai.request.model": "m",
                        "gen_ai.usage.input_tokens": 7,
                        "gen_ai.usage.output_tokens": 3,
                    }
                )
            with tracer.start_as_current_span("look up", attributes={"tool.name": "lookup"}) as tool:
                tool.add_event("tried", {"n": 1})
                tool.set_status(Status(StatusCode.ERROR, "no such row"))

    return work


@pytest.mark.parametrize("path", PATHS)
async def test_a_trace_comes_back(live: LiveServer, caller: Caller, tenants: Tenants, path: str) -> None:
    agent = await caller.agent()
    job = await caller.ok("POST", "/jobs/", {"status": "running", "agent": agent["id"]})
    service, ids = f"shop-{uuid4().hex}", list[str]()
    work = traced(ids, overmind__job_id=job["id"], overclaw__agent__id=agent["id"], overmind__iteration_id=str(uuid4()))

    await export(live, tenants.other_organization, work, path=path, service__name=service)

    found = await caller.ok("GET", "/traces/", params={"service_name": service})
    (row,) = found["results"]
    assert (row["trace_id"], row["name"], row["service_name"]) == (ids[0], "run agent", service)
    assert (row["agent"], row["job"], row["iteration"]) == (agent["id"], job["id"], None)
    assert (row["kind"], row["status_code"], row["span_type"]) == (2, 0, "llm_call")
    assert row["duration_ns"] == row["end_time_ns"] - row["start_time_ns"] > 0
    assert isinstance(row["user"], int)

    tree = await caller.ok("GET", f"/traces/{ids[0]}/")
    assert (tree["trace_id"], tree["span_count"], tree["root"]["span_id"]) == (ids[0], 3, row["span_id"])
    call, tool = (next(span for span in tree["spans"] if span["name"] == name) for name in ("chat m", "look up"))
    assert (call["parent_span_id"], call["is_root"], call["total_tokens"]) == (row["span_id"], False, 10)
    assert (call["operation"], call["attributes"]["gen_ai.request.model"]) == ("chat", "m")
    assert (call["scope_name"], call["scope_version"]) == ("lib", "1.2")
    assert call["resource_attrs"]["service.name"] == service
    assert (tool["span_type"], tool["status_code"], tool["status_message"]) == ("tool_call", 2, "no such row")
    assert [(event["name"], event["attributes"]) for event in tool["events"]] == [("tried", {"n": 1})]
    assert service in (await caller.ok("GET", "/traces/services/", params={"page_size": 100}))["results"]


async def test_spans_are_events_of_every_api(live: LiveServer, caller: Caller, tenants: Tenants) -> None:
    ids: list[str] = []
    await export(live, tenants.other_organization, traced(ids))

    seen = await caller.ok("GET", f"/api/environments/@current/llm_analytics/traces/{ids[0]}/")

    assert "chat m" in str(seen)


async def test_both_sorts_of_traces_are_one_list(live: LiveServer, caller: Caller, tenants: Tenants) -> None:
    agent, ids = await caller.agent(), list[str]()
    for _ in range(2):
        await export(live, tenants.other_organization, traced(ids, overmind__agent_id=agent["id"]))
    records = [
        await caller.ok("POST", "/traces/", {"agent": agent["id"], "trace_id": f"t{n}", "trace_group": "g"})
        for n in range(3)
    ]
    mine = {"agent": agent["id"]}

    async def traces(**params: Any) -> list[str]:
        return [row["trace_id"] for row in (await caller.ok("GET", "/traces/", params=mine | params))["results"]]

    assert await traces() == [*reversed(ids), "t2", "t1", "t0"]
    assert await traces(page_size=2, page=2) == ["t2", "t1"]
    page = await caller.ok("GET", "/traces/", params={**mine, "page_size": 3, "page": 1})
    assert (page["count"], [row["trace_id"] for row in page["results"]]) == (5, [*reversed(ids), "t2"])
    assert await traces(trace_group="g") == ["t2", "t1", "t0"]
    assert await traces(has_error="false", min_duration_ms="0") == [*reversed(ids)]
    assert await traces(has_error="true") == []
    assert await traces(ordering="start_time_ns", kind=2) == ids
    assert await traces(trace_id=ids[0]) == [ids[0]]
    assert (await caller.ok("GET", f"/traces/{records[0]['id']}/"))["trace_id"] == "t0"
    for name, value in {"has_error": "x", "min_duration_ms": "x", "agent": "x", "kind": "x"}.items():
        assert list(await caller.refused(400, "GET", "/traces/", params={name: value})) == [name]


async def test_an_export_that_is_sent_again_changes_nothing(caller: Caller) -> None:
    export = ExportTraceServiceRequest()
    span = export.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = uuid4().bytes, uuid4().bytes[:8], "s"
    span.start_time_unix_nano, span.end_time_unix_nano = 1_790_000_000_000_000_000, 1_790_000_000_500_000_000
    content = gzip.compress(export.SerializeToString())
    headers = PROTOBUF | {"Content-Encoding": "gzip"}

    first = await caller.ok("POST", PATHS[0], content=content, headers=headers, status=200)
    again = await caller.ok("POST", PATHS[0], content=content, headers=headers, status=200)

    assert first == {"spans_ingested": 1, "spans_post_processed": 1}
    assert again == {"spans_ingested": 1, "spans_post_processed": 0}
    empty = await caller.ok("POST", PATHS[0], content=b"", headers=PROTOBUF, status=200)
    assert empty["spans_ingested"] == 0


async def test_what_another_project_sent_is_not_there(
    live: LiveServer, caller: Caller, stranger: Caller, tenants: Tenants
) -> None:
    agent, ids = await stranger.agent(), list[str]()

    await export(live, tenants.other_organization, traced(ids, overmind__agent_id=agent["id"]))

    assert (await caller.ok("GET", f"/traces/{ids[0]}/"))["root"]["agent"] is None, "the agent is another project's"
    await stranger.refused(404, "GET", f"/traces/{ids[0]}/")
    assert (await stranger.ok("GET", "/traces/", params={"trace_id": ids[0]}))["count"] == 0


async def test_damaged_exports_are_no_fault_of_ours(caller: Caller) -> None:
    export = ExportTraceServiceRequest()
    span = export.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = b"\x01" * 16, b"\x02" * 8, "s\0\ud7ff"
    sound = export.SerializeToString()
    for seed in range(60):
        draw = random.Random(seed)
        content = bytearray(sound if seed % 2 else draw.randbytes(draw.randrange(1, 60)))
        for _ in range(draw.randrange(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)

        response = await caller.send("POST", PATHS[0], content=bytes(content), headers=PROTOBUF)

        assert response.status_code in (200, 400), response.text


async def test_what_is_no_export_is_refused(caller: Caller, stranger: Caller) -> None:
    for status, content, headers in (
        (415, b"{}", {"Content-Type": "application/json"}),
        (415, b"", {}),
        (400, b"\xff\xff\xff", PROTOBUF),
        (400, b"\x1f\x8bnonsense", PROTOBUF | {"Content-Encoding": "gzip"}),
        (415, b"x", PROTOBUF | {"Content-Encoding": "br"}),
    ):
        assert set(await caller.refused(status, "POST", PATHS[0], content=content, headers=headers)) == {"error"}
    foreign = ExportTraceServiceRequest()
    span = foreign.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id = uuid4().bytes, uuid4().bytes[:8]
    attribute = span.attributes.add()
    attribute.key, attribute.value.string_value = "overmind.project_id", await stranger.project()
    refused = await caller.refused(403, "POST", PATHS[0], content=foreign.SerializeToString(), headers=PROTOBUF)
    assert set(refused) == {"error"}
