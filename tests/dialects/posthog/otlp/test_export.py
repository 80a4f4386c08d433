"""The standard's own exporter, unmodified, and the answers that it gets."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Tracer
from tests.dialects.posthog.conftest import Caller, Connect
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

from assay.dialects.posthog.capture.route import AI_BYTES

PATHS = ["/v1/traces", "/v1/traces/", "/i/v0/ai/otel", "/i/v0/ai/otel/", "/i/v1/traces"]
PROTOBUF = "application/x-protobuf"


@pytest.fixture
def web(connect: Connect) -> httpx.AsyncClient:
    """A client without any key."""
    return connect(None).http


async def export(endpoint: str, token: str, work: Callable[[Tracer], None], **options: Any) -> None:
    """Do the work with a tracer whose spans go to the endpoint."""

    def run() -> None:
        exporter = OTLPSpanExporter(endpoint, headers={"Authorization": f"Bearer {token}"}, **options)
        provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        try:
            work(provider.get_tracer("a-library"))
        finally:
            provider.shutdown()

    await asyncio.to_thread(run)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
async def test_the_exporter_makes_a_trace_with_its_tree(
    live: LiveServer, caller: Caller, tenants: Tenants, compression: Compression
) -> None:
    ids: list[str] = []

    def work(tracer: Tracer) -> None:
        with tracer.start_as_current_span("handle", attributes={"user.id": "ann"}) as root:
            ids.append(format(root.get_span_context().trace_id, "032x"))
            with tracer.start_as_current_span("chat gpt-5") as call:
                call.set_attributes(
                    {
                        "gen_ai.operation.name": "chat",
                        "gen_ai.request.model": "gpt-5",
                        "gen_ai.input.messages": json.dumps([{"role": "user", "content": "Hi"}]),
                        "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "Hello"}]),
                        "gen_ai.usage.input_tokens": 7,
                    }
                )
            with pytest.raises(ValueError, match="boom"), tracer.start_as_current_span("look up"):
                raise ValueError("boom")

    await export(f"{live.url}/v1/traces", tenants.capture_token, work, compression=compression)

    [trace_id] = ids
    trace = await caller.ok("GET", f"/llm_analytics/traces/{trace_id}/")
    assert (trace["event_count"], trace["input_tokens"], trace["output_tokens"]) == (3, 7, None)
    [root] = trace["tree"]
    assert (root["event"], root["distinct_id"], root["properties"]["service.name"]) == ("$ai_trace", "ann", "shop")
    call, step = root["children"]
    assert (call["event"], step["event"]) == ("$ai_generation", "$ai_span")
    assert call["properties"]["$ai_output_choices"] == [{"role": "assistant", "content": "Hello"}]
    assert call["properties"]["$ai_lib"] == "opentelemetry/a-library"
    assert step["properties"]["$ai_is_error"] is True
    assert "boom" in step["properties"]["$ai_error"]


def exported(count: int, *, bad: int = 0) -> ExportTraceServiceRequest:
    """A request with spans of one trace, some without an id."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    trace_id = uuid4().bytes
    for number in range(count + bad):
        span = scope.spans.add()
        span.trace_id = trace_id
        span.span_id = (number + 1 if number < count else 0).to_bytes(8, "big")
        span.name = f"s{number}"
        span.start_time_unix_nano = 1_700_000_000_000_000_000
    return message


def trace_of(message: ExportTraceServiceRequest) -> str:
    return message.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()


@pytest.mark.parametrize("path", PATHS)
async def test_paths(web: httpx.AsyncClient, caller: Caller, tenants: Tenants, path: str) -> None:
    message = exported(2)
    headers = {"Content-Type": PROTOBUF, "Authorization": f"Bearer {tenants.capture_token}"}

    for _ in range(2):
        answer = await web.post(path, content=message.SerializeToString(), headers=headers)
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, PROTOBUF, b"")

    trace = await caller.ok("GET", f"/llm_analytics/traces/{trace_of(message)}/")
    assert trace["event_count"] == 2


async def test_spans_without_ids_are_counted_as_rejected(
    web: httpx.AsyncClient, caller: Caller, tenants: Tenants
) -> None:
    headers = {"Content-Type": PROTOBUF, "Authorization": f"Bearer {tenants.capture_token}"}
    for good in (2, 0):
        message = exported(good, bad=3)
        answer = await web.post("/v1/traces", content=message.SerializeToString(), headers=headers)
        assert answer.status_code == 200
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        assert (partial.rejected_spans, "no valid ids" in partial.error_message) == (3, True)
    headers["Content-Type"] = "application/json"
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "x"}]}]}]}
    answer = await web.post("/v1/traces", json=body, headers=headers)
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
    answer = await web.post("/v1/traces", json={"resourceSpans": []}, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({}, b"", 401, 16),
        ({"Authorization": "Bearer phc_unknown"}, exported(1).SerializeToString(), 401, 16),
        ({"Authorization": "Bearer phc_unknown"}, b"", 401, 16),
        ({"Authorization": "Bearer TOKEN"}, b"\xff\xff", 400, 3),
        ({"Authorization": "Bearer TOKEN", "Content-Type": "application/json"}, b"{", 400, 3),
        ({"Authorization": "Bearer TOKEN", "Content-Type": "text/plain"}, b"{}", 415, 3),
        ({"Authorization": "Bearer TOKEN", "Content-Encoding": "br"}, b"", 415, 3),
        ({"Authorization": "Bearer TOKEN", "Content-Encoding": "gzip"}, gzip.compress(b"x")[:-4], 400, 3),
        ({"Authorization": "Bearer TOKEN"}, gzip.compress(b"\0" * (AI_BYTES + 1)), 413, 8),
    ],
    ids=[
        "no token",
        "unknown token",
        "unknown token, no spans",
        "not protobuf",
        "not JSON",
        "text",
        "brotli",
        "truncated",
        "too large",
    ],
)
async def test_exports_that_are_refused(
    web: httpx.AsyncClient, tenants: Tenants, headers: dict[str, str], content: bytes, status: int, code: int
) -> None:
    sent = {"Content-Type": PROTOBUF} | {
        name: text.replace("TOKEN", tenants.capture_token) for name, text in headers.items()
    }

    answer = await web.post("/v1/traces", content=content, headers=sent)

    assert answer.status_code == status, answer.content
    if sent["Content-Type"] == PROTOBUF:
        # google.rpc.Status: its code is field 1 and its message field 2.
        said = ExportTracePartialSuccess.FromString(answer.content)
        assert (said.rejected_spans, bool(said.error_message)) == (code, True)
    else:
        assert (answer.json()["code"], bool(answer.json()["message"])) == (code, True)
