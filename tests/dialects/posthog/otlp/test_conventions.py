"""Spans of every convention as the events that they become."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.capture.errors import UndecodableError
from assay.core.capture.otlp.events import event_of
from assay.core.capture.otlp.messages import unflatten
from assay.core.capture.otlp.spans import Span, SpanEvent, read_json, read_protobuf
from assay.core.capture.types import Arrival, RawEvent
from assay.core.capture.validation import check_event
from assay.kit.clock import utc_now

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
USER = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Hello"}
PARTS = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]


def span(attributes: dict[str, Any], **values: Any) -> Span:
    """A span of two seconds with a parent."""
    defaults: dict[str, Any] = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "parent_id": "00f067aa0ba902b7",
        "name": "a span",
        "start_ns": 1_700_000_000_000_000_000,
        "end_ns": 1_700_000_002_000_000_000,
        "attributes": attributes,
    }
    return Span(**(defaults | values))


def read(given: Span) -> RawEvent:
    event = event_of(given)
    assert isinstance(event, RawEvent)
    return event


@dataclass(frozen=True, slots=True)
class Case:
    """Attributes, and the properties that must come out among others."""

    id: str
    attributes: dict[str, Any]
    event: str
    properties: dict[str, Any]
    span_events: list[SpanEvent] = field(default_factory=list[SpanEvent])


CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5"}
CASES = [
    Case(
        "GenAI, messages in attributes",
        CHAT
        | {
            "gen_ai.input.messages": json.dumps(PARTS),
            "gen_ai.output.messages": json.dumps([ANSWER]),
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief"}]),
            "gen_ai.usage.input_tokens": 7,
            "gen_ai.usage.output_tokens": "3",
            "gen_ai.usage.cache_read.input_tokens": 2,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 10,
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.conversation.id": "c1",
            "gen_ai.tool.definitions": json.dumps([{"name": "f"}]),
        },
        "$ai_generation",
        {
            "$ai_provider": "openai",
            "$ai_model": "gpt-5",
            "$ai_input": [{"role": "system", "parts": [{"type": "text", "content": "Be brief"}]}, *PARTS],
            "$ai_output_choices": [ANSWER],
            "$ai_input_tokens": 7,
            "$ai_output_tokens": 3,
            "$ai_cache_read_input_tokens": 2,
            "$ai_model_parameters": {"temperature": 0.5, "max_tokens": 10},
            "$ai_stop_reason": "stop",
            "$ai_session_id": "c1",
            "$ai_tools": [{"name": "f"}],
            "$ai_latency": 2.0,
            "$ai_parent_id": "00f067aa0ba902b7",
        },
    ),
    Case(
        "GenAI, structured messages in one event",
        CHAT,
        "$ai_generation",
        {"$ai_input": [USER], "$ai_output_choices": [ANSWER]},
        [
            SpanEvent(
                "gen_ai.client.inference.operation.details",
                {"gen_ai.input.messages": [USER], "gen_ai.output.messages": [ANSWER]},
            )
        ],
    ),
    Case(
        "GenAI 1.28, one event for each message",
        {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o"},
        "$ai_generation",
        {
            "$ai_provider": "openai",
            "$ai_input": [
                {"role": "system", "content": "Be brief"},
                USER,
                {"role": "tool", "content": "4", "tool_call_id": "t1"},
            ],
            "$ai_output_choices": [ANSWER],
        },
        [
            SpanEvent("gen_ai.system.message", {"content": "Be brief"}),
            SpanEvent("gen_ai.user.message", {"content": "Hi"}),
            SpanEvent("gen_ai.tool.message", {"content": "4", "id": "t1"}),
            SpanEvent("gen_ai.choice", {"index": 0, "message": json.dumps(ANSWER)}),
        ],
    ),
    Case(
        "GenAI before 1.28, two events",
        {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4", "gen_ai.usage.prompt_tokens": 5},
        "$ai_generation",
        {"$ai_input": [USER], "$ai_output_choices": [ANSWER], "$ai_input_tokens": 5},
        [
            SpanEvent("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps([USER])}),
            SpanEvent("gen_ai.content.completion", {"gen_ai.completion": json.dumps([ANSWER])}),
        ],
    ),
    Case(
        "OpenLLMetry, numbered attributes",
        {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": "gpt-4",
            "gen_ai.prompt.1.role": "assistant",
            "gen_ai.prompt.1.tool_calls.0.id": "t1",
            "gen_ai.prompt.1.tool_calls.0.name": "f",
            "gen_ai.prompt.1.tool_calls.0.arguments": "{}",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "Hi",
            "gen_ai.prompt.name": "greeting",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "Hello",
        },
        "$ai_generation",
        {
            "$ai_input": [USER, {"role": "assistant", "tool_calls": [{"id": "t1", "name": "f", "arguments": "{}"}]}],
            "$ai_output_choices": [ANSWER],
            "$ai_prompt_name": "greeting",
        },
    ),
    Case(
        "OpenLLMetry, a step",
        {
            "traceloop.span.kind": "tool",
            "traceloop.entity.name": "search",
            "traceloop.entity.input": '{"q": 1}',
            "traceloop.entity.output": "found",
        },
        "$ai_span",
        {
            "$ai_span_name": "search",
            "$ai_input_state": {"q": 1},
            "$ai_output_state": "found",
            "traceloop.span.kind": "tool",
        },
    ),
    Case(
        "GenAI, a tool",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search",
            "gen_ai.tool.call.arguments": '{"q": 1}',
            "gen_ai.tool.call.result": "[1, 2]",
        },
        "$ai_span",
        {"$ai_span_name": "search", "$ai_input_state": {"q": 1}, "$ai_output_state": [1, 2]},
    ),
    Case(
        "GenAI, an agent is no generation",
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-5", "gen_ai.usage.input_tokens": 7},
        "$ai_span",
        {"$ai_model": "gpt-5"},
    ),
    Case(
        "GenAI, an embedding",
        {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e", "gen_ai.usage.input_tokens": 7},
        "$ai_embedding",
        {"$ai_model": "e", "$ai_input_tokens": 7},
    ),
    Case(
        "OpenInference, a model",
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "claude",
            "llm.provider": "anthropic",
            "llm.token_count.prompt": 4,
            "llm.token_count.completion": 5,
            "llm.token_count.completion_details.reasoning": 1,
            "llm.cost.total": 0.25,
            "llm.invocation_parameters": '{"temperature": 0}',
            "llm.tools.0.tool.json_schema": '{"name": "f"}',
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.contents.0.message_content.type": "text",
            "llm.input_messages.0.message.contents.0.message_content.text": "Hi",
            "llm.input_messages.0.message.contents.1.message_content.type": "image",
            "llm.input_messages.0.message.contents.1.message_content.image.image.url": "u",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "t1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{}",
            "input.value": "not this",
            "session.id": "s1",
            "metadata": '{"a": 1}',
        },
        "$ai_generation",
        {
            "$ai_model": "claude",
            "$ai_provider": "anthropic",
            "$ai_input_tokens": 4,
            "$ai_output_tokens": 5,
            "$ai_reasoning_tokens": 1,
            "$ai_total_cost_usd": 0.25,
            "$ai_model_parameters": {"temperature": 0},
            "$ai_tools": [{"name": "f"}],
            "$ai_session_id": "s1",
            "$ai_input": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "Hi"}, {"type": "image", "image": {"url": "u"}}],
                }
            ],
            "$ai_output_choices": [
                {"role": "assistant", "tool_calls": [{"id": "t1", "function": {"name": "f", "arguments": "{}"}}]}
            ],
            "metadata": '{"a": 1}',
        },
    ),
    Case(
        "OpenInference, a chain",
        {"openinference.span.kind": "CHAIN", "input.value": '{"q": 1}', "output.value": "plain"},
        "$ai_span",
        {"$ai_input_state": {"q": 1}, "$ai_output_state": "plain"},
    ),
    Case(
        "OpenInference, a retriever",
        {"openinference.span.kind": "RETRIEVER", "retrieval.documents.0.document.content": "text"},
        "$ai_span",
        {"$ai_output_state": [{"content": "text"}]},
    ),
    Case(
        "OpenInference, an embedding",
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.model_name": "e",
            "embedding.embeddings.0.embedding.text": "a",
            "embedding.embeddings.1.embedding.text": "b",
        },
        "$ai_embedding",
        {"$ai_model": "e", "$ai_input": ["a", "b"]},
    ),
    Case(
        "neither",
        {"http.method": "GET", "$ai_trace_id": "mine", "$session_id": "s"},
        "$ai_span",
        {"http.method": "GET", "$ai_trace_id": "mine", "$session_id": "s", "$ai_span_name": "a span"},
    ),
    Case(
        "broken JSON stays text",
        CHAT | {"gen_ai.input.messages": "[{", "gen_ai.output.messages": "{}"},
        "$ai_generation",
        {"$ai_input": ["[{"], "$ai_output_choices": [{}]},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_conventions(case: Case) -> None:
    event = read(span(case.attributes, events=case.span_events))

    assert event.event == case.event
    assert {name: event.properties.get(name) for name in case.properties} == case.properties
    assert event.properties["$ai_trace_id"] == case.properties.get("$ai_trace_id", TRACE_ID)
    assert event.properties["$ai_span_id"] == SPAN_ID


def test_what_properties_say_is_not_kept_twice() -> None:
    assert not [name for name in read(span(CASES[0].attributes)).properties if name.startswith("gen_ai")]
    assert not [name for name in read(span(CASES[9].attributes)).properties if name.startswith(("llm", "input"))]


def test_a_root_is_the_trace_unless_it_is_a_call() -> None:
    assert read(span({}, parent_id="")).event == "$ai_trace"
    assert read(span(CHAT, parent_id="")).event == "$ai_generation"
    assert "$ai_parent_id" not in read(span({}, parent_id="")).properties


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"status_code": 2, "status_message": "it broke"}, "it broke"),
        ({"status_code": 2, "events": [SpanEvent("exception", {"exception.message": "boom"})]}, "boom"),
        ({"attributes": {"error.type": "timeout"}}, "timeout"),
        ({"status_code": 2}, "error"),
    ],
)
def test_failures(values: dict[str, Any], expected: str) -> None:
    properties = read(span(values.pop("attributes", {}), **values)).properties
    assert (properties["$ai_is_error"], properties["$ai_error"]) == (True, expected)


def test_a_span_has_one_uuid_and_a_person_if_one_is_named() -> None:
    nobody = read(span({}))
    somebody = read(span({"user.id": "ann"}, resource={"service.name": "shop", "process.pid": 1}, name="other"))
    other = read(span({}, span_id="b7ad6b7169203332"))
    assert nobody.uuid == somebody.uuid != other.uuid
    assert (nobody.distinct_id, nobody.properties["$process_person_profile"]) == (TRACE_ID, False)
    assert (somebody.distinct_id, somebody.properties["service.name"]) == ("ann", "shop")
    assert "process.pid" not in somebody.properties
    assert nobody.timestamp == "2023-11-14T22:13:20+00:00"


@pytest.mark.parametrize("values", [{"trace_id": ""}, {"span_id": ""}])
def test_a_span_without_ids_is_refused(values: dict[str, Any]) -> None:
    assert not isinstance(event_of(span({}, **values)), RawEvent)


def test_json_is_read_by_its_own_rules() -> None:
    attributes: list[Any] = [
        {"key": "int", "value": {"intValue": "42"}},
        {"key": "number", "value": {"intValue": 42}},
        {"key": "double", "value": {"doubleValue": 0.5}},
        {"key": "nan", "value": {"doubleValue": "NaN"}},
        {"key": "flag", "value": {"boolValue": True}},
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}},
        {"key": "nothing", "value": {}},
        {"value": {"stringValue": "no key"}},
        "no object",
    ]
    exported: dict[str, Any] = {
        "traceId": TRACE_ID.upper(),
        "spanId": SPAN_ID,
        "parentSpanId": "",
        "name": "s",
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": 1700000001000000000,
        "attributes": attributes,
        "status": {"code": "STATUS_CODE_ERROR", "message": "m"},
        "events": [{"name": "e", "attributes": attributes[:1]}],
        "unknown": 1,
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    scope_spans = [{"scope": {"name": "lib"}, "spans": [exported]}]
    [found] = read_json(json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": scope_spans}]}).encode())

    assert (found.trace_id, found.span_id, found.parent_id, found.scope) == (TRACE_ID, SPAN_ID, "", "lib")
    assert (found.start_ns, found.end_ns, found.status_code) == (1_700_000_000 * 10**9, 1_700_000_001 * 10**9, 2)
    assert found.attributes == {
        "int": 42,
        "number": 42,
        "double": 0.5,
        "nan": None,
        "flag": True,
        "list": ["a", 1],
        "map": {"k": "v"},
        "nothing": None,
    }
    assert found.events == [SpanEvent("e", {"int": 42})]
    assert found.resource == {"service.name": "shop"}


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b'{"resourceSpans": '])
def test_what_is_no_json_export(body: bytes) -> None:
    with pytest.raises(UndecodableError):
        read_json(body)


def test_numbered_keys_that_contradict_each_other() -> None:
    assert unflatten({"p.0": 1, "p.0.a": 2, "p.x": 3}, "p") == {"0": 1, "x": 3}
    assert unflatten({"p." + ".".join("a" * 3000): 1}, "p") is not None
    assert unflatten({"q": 1}, "p") is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    [
        *(key for case in CASES for key in case.attributes),
        "gen_ai.prompt",
        "gen_ai.completion",
        "llm.tools.0",
        "llm.input_messages.0",
    ]
) | st.text(max_size=12)


@given(st.dictionaries(_KEYS, _JSON, max_size=12), st.dictionaries(_KEYS, _JSON, max_size=4))
def test_any_attributes_make_an_event(attributes: dict[str, Any], inner: dict[str, Any]) -> None:
    names = ("gen_ai.choice", "gen_ai.user.message", "gen_ai.content.prompt", "exception")
    event = read(span(attributes, events=[SpanEvent(name, inner) for name in names], start_ns=2**64 - 1))
    assert check_event(event, Arrival(received_at=utc_now())).distinct_id


@given(st.binary(max_size=200))
def test_any_bytes_are_an_export_or_refused(body: bytes) -> None:
    for reader in (read_protobuf, read_json):
        try:
            [event_of(found) for found in reader(body)]
        except UndecodableError:
            continue


@given(_JSON, _JSON)
def test_any_json_is_read_or_refused(value: Any, inner: Any) -> None:
    for whole in (value, {"resourceSpans": [{"resource": inner, "scopeSpans": [{"scope": value, "spans": [inner]}]}]}):
        try:
            [event_of(found) for found in read_json(json.dumps(whole).encode())]
        except UndecodableError:
            continue
