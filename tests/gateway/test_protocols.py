"""What each protocol sends, and what it makes of the answer, over real HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest
from tests.support.gateways import ANTHROPIC_KEY, OPENAI_KEY, OpenGateway
from tests.support.model_server import Behaviour, ModelServer

from assay.gateway.errors import MalformedReplyError, UnsupportedParameterError
from assay.gateway.providers.base import Recording
from assay.gateway.types import Message, ModelReply, ModelRequest, ToolCall, Usage, resolve_generation

FUNCTION = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}
CHAT_FUNCTION = {"type": "function", "function": {k: v for k, v in FUNCTION.items() if k != "type"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:a/b;base64,QQ=="}}
CONVERSATION = (
    Message("user", ({"type": "text", "text": "see"}, IMAGE)),
    Message("assistant", "", (ToolCall("c1", "look", '{"x":1}'),)),
    Message("tool", "a cat", tool_call_id="c1"),
    Message("user", "so?"),
)
RESPONSES_TOML = '[providers.modern]\nbase_url = "{url}"\napi = "responses"\napi_key = "sk-modern-1"\n'


@dataclass(frozen=True)
class Case:
    id: str
    model: str
    config: dict[str, Any]
    want: dict[str, Any]
    """Fields that the body must have with these values; None: must be absent."""
    messages: tuple[Message, ...] = field(default=(Message("user", "answer=yes"),))


CASES = [
    Case("chat plain", "openai/m", {}, {"model": "m", "messages": [{"role": "user", "content": "answer=yes"}]}),
    Case(
        "chat everything",
        "openai/m",
        {
            "temperature": 0.5,
            "top_p": 0.9,
            "min_p": 0.1,
            "top_k": 5,
            "repetition_penalty": 1.1,
            "presence_penalty": 0.2,
            "frequency_penalty": 0.3,
            "max_output_tokens": 9,
            "stop": ["a", "b", "c", "d", "e"],
            "reasoning": {"effort": "low"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
            "tools": [FUNCTION],
            "tool_choice": {"type": "function", "name": "look"},
            "parallel_tool_calls": False,
            "truncation": "disabled",
            "service_tier": "flex",
            "chat_template_kwargs": {"enable_thinking": False},
            "extra_body": {"seed": 4, "top_k": 6},
        },
        {
            "temperature": 0.5,
            "top_p": 0.9,
            "min_p": 0.1,
            "top_k": 6,
            "repetition_penalty": 1.1,
            "presence_penalty": 0.2,
            "frequency_penalty": 0.3,
            "max_tokens": 9,
            "stop": ["a", "b", "c", "d"],
            "reasoning_effort": "low",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
            "verbosity": "low",
            "tools": [CHAT_FUNCTION],
            "tool_choice": {"type": "function", "function": {"name": "look"}},
            "parallel_tool_calls": False,
            "service_tier": "flex",
            "chat_template_kwargs": {"enable_thinking": False},
            "seed": 4,
            "truncation": None,
        },
    ),
    Case(
        "chat instructions and prefill",
        "openai/m",
        {"instructions": "Be brief.", "prefill_think": True},
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "answer=yes"},
                {"role": "assistant", "content": "<think>\n"},
            ],
            "continue_final_message": True,
            "add_generation_prompt": False,
        },
    ),
    Case(
        "chat conversation",
        "openai/m",
        {},
        {
            "messages": [
                {"role": "user", "content": list(CONVERSATION[0].content)},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x":1}'}}
                    ],
                },
                {"role": "tool", "content": "a cat", "tool_call_id": "c1"},
                {"role": "user", "content": "so?"},
            ]
        },
        CONVERSATION,
    ),
    Case(
        "responses everything",
        "modern/m",
        {
            "instructions": "Be brief.",
            "temperature": 0.5,
            "max_output_tokens": 9,
            "max_tool_calls": 3,
            "stop": "x",
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"verbosity": "low"},
            "tools": [CHAT_FUNCTION],
            "truncation": "auto",
        },
        {
            "instructions": "Be brief.",
            "input": [{"role": "user", "content": "answer=yes"}],
            "temperature": 0.5,
            "max_output_tokens": 9,
            "max_tool_calls": 3,
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"verbosity": "low"},
            "tools": [FUNCTION],
            "truncation": "auto",
            "store": False,
            "stop": None,
        },
    ),
    Case(
        "responses conversation",
        "modern/m",
        {},
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "see"},
                        {"type": "input_image", "image_url": "data:a/b;base64,QQ=="},
                    ],
                },
                {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"x":1}'},
                {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
                {"role": "user", "content": "so?"},
            ]
        },
        CONVERSATION,
    ),
    Case(
        "anthropic everything",
        "anthropic/m",
        {
            "instructions": "Be brief.",
            "temperature": 0.5,
            "top_k": 4,
            "stop": ["a", "b"],
            "tools": [FUNCTION],
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "service_tier": "default",
            "extra_body": {"metadata": {"user_id": "u"}},
        },
        {
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "answer=yes"}],
            "max_tokens": 4096,
            "temperature": 0.5,
            "top_k": 4,
            "stop_sequences": ["a", "b"],
            "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            "service_tier": "standard_only",
            "metadata": {"user_id": "u"},
        },
    ),
    Case(
        "anthropic thinking",
        "anthropic/m",
        {"reasoning": {"effort": "low"}},
        {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 6144},
    ),
    Case(
        "anthropic conversation",
        "anthropic/m",
        {},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "see"},
                        {"type": "image", "source": {"type": "base64", "media_type": "a/b", "data": "QQ=="}},
                    ],
                },
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"x": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "a cat"}]},
                {"role": "user", "content": "so?"},
            ]
        },
        CONVERSATION,
    ),
    Case(
        "anthropic results of one turn",
        "anthropic/m",
        {"reasoning": {"effort": "low"}},
        {
            "thinking": None,
            "messages": [
                {"role": "user", "content": "look twice"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "tool_use", "id": "c1", "name": "look", "input": {}},
                        {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c1", "content": "a cat"},
                        {"type": "tool_result", "tool_use_id": "c2", "content": "a dog"},
                    ],
                },
            ],
        },
        (
            Message("user", "look twice"),
            Message("assistant", "", (ToolCall("c1", "look", "{}"), ToolCall("c2", "look", "{}"))),
            Message("tool", "a cat", tool_call_id="c1"),
            Message("tool", "a dog", tool_call_id="c2"),
        ),
    ),
]


async def _ask(gateway_at: OpenGateway, server: ModelServer, case: Case) -> ModelReply:
    async with gateway_at(server.url, toml=RESPONSES_TOML.format(url=server.url)) as gateway:
        return await gateway.respond(ModelRequest(case.model, case.messages, resolve_generation(case.config)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_body(case: Case, gateway_at: OpenGateway) -> None:
    def say_42(prompt: str, body: Any) -> str:
        return "42"

    async with ModelServer(Behaviour(reply=say_42)) as server:
        reply = await _ask(gateway_at, server, case)
        body = server.stats.last_body
    assert {name: body.get(name) for name in case.want} == case.want
    assert reply.text == ("" if "prefill_think" in case.config else "42")
    assert reply.attempts[0].status == 200


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("openai/m", {"truncation": "auto"}),
    ("openai/m", {"reasoning": {"summary": "auto"}}),
    ("openai/m", {"tools": [{"type": "web_search"}]}),
    ("openai/m", {"text": {"shape": 1}}),
    ("modern/m", {"min_p": 0.1}),
    ("modern/m", {"prefill_think": True}),
    ("anthropic/m", {"presence_penalty": 0.1}),
    ("anthropic/m", {"text": {"format": {"type": "json_object"}}}),
    ("anthropic/m", {"service_tier": "flex"}),
    ("anthropic/m", {"reasoning": {"effort": "high"}, "max_output_tokens": 100}),
    ("anthropic/m", {"parallel_tool_calls": True}),
]


@pytest.mark.parametrize(("model", "config"), REFUSED)
async def test_what_the_api_lacks_is_refused(model: str, config: dict[str, Any], gateway_at: OpenGateway) -> None:
    async with ModelServer() as server:
        with pytest.raises(UnsupportedParameterError) as caught:
            await _ask(gateway_at, server, Case("", model, config, {}))
        assert server.stats.requests == 0
    assert (caught.value.param or "").startswith("generation.")


@pytest.mark.parametrize(
    ("model", "path", "header", "value"),
    [
        ("openai/m", "/v1/chat/completions", "authorization", f"Bearer {OPENAI_KEY}"),
        ("modern/m", "/v1/responses", "authorization", "Bearer sk-modern-1"),
        ("anthropic/m", "/v1/messages", "x-api-key", ANTHROPIC_KEY),
    ],
)
async def test_path_and_key(model: str, path: str, header: str, value: str, gateway_at: OpenGateway) -> None:
    async with ModelServer() as server:
        await _ask(gateway_at, server, Case("", model, {}, {}))
        assert server.stats.last_path == path
        assert server.stats.last_headers[header] == value
        assert server.stats.last_headers["content-type"] == "application/json"


@dataclass(frozen=True)
class Answer:
    id: str
    model: str
    body: dict[str, Any]
    want: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict[str, Any])


def _chat(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"message": message, "finish_reason": "stop"}], **more}


ANSWERS = [
    Answer(
        "chat usage",
        "openai/m",
        _chat(
            {"content": "hi"},
            usage={
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
        ),
        {"text": "hi", "response_id": "c", "finish_reason": "stop", "usage": Usage(10, 5, 4, 3)},
    ),
    Answer("chat no usage", "openai/m", _chat({"content": "hi"}), {"usage": Usage(), "cost_usd": None}),
    Answer("chat null content", "openai/m", _chat({"content": None}), {"text": ""}),
    Answer("chat parts", "openai/m", _chat({"content": [{"type": "text", "text": "hi"}]}), {"text": "hi"}),
    Answer(
        "chat reasoning",
        "openai/m",
        _chat({"content": "hi", "reasoning_content": "hm"}),
        {"text": "hi", "reasoning": "hm"},
    ),
    Answer(
        "chat think tags",
        "openai/m",
        _chat({"content": "<think>\nhm\n</think>\n\nhi"}),
        {"text": "hi", "reasoning": "hm"},
    ),
    Answer("chat cut off thinking", "openai/m", _chat({"content": "<think>hm"}), {"text": "", "reasoning": "hm"}),
    Answer(
        "chat prefilled",
        "openai/m",
        _chat({"content": "hm</think>hi"}),
        {"text": "hi", "reasoning": "hm"},
        {"prefill_think": True},
    ),
    Answer(
        "stop is enforced",
        "openai/m",
        _chat({"content": "one\nQ: two"}),
        {"text": "one", "finish_reason": "stop"},
        {"stop": ["END"], "until": ["\nQ:", "two"]},
    ),
    Answer(
        "chat tools",
        "openai/m",
        _chat({"content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}] * 3}),
        {"tool_calls": (ToolCall("1", "f", "{}"),) * 2},
        {"max_tool_calls": 2},
    ),
    Answer(
        "responses",
        "modern/m",
        {
            "id": "r",
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                {"type": "message", "content": [{"type": "output_text", "text": "hi"}]},
                {"type": "function_call", "id": "x", "call_id": "c1", "name": "f", "arguments": "{}"},
            ],
            "usage": {"input_tokens": 3, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}},
        },
        {
            "text": "hi",
            "reasoning": "hm",
            "finish_reason": "length",
            "usage": Usage(3, 2, None, 1),
            "tool_calls": (ToolCall("c1", "f", "{}"),),
        },
    ),
    Answer(
        "anthropic",
        "anthropic/m",
        {
            "id": "a",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "hi"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
            ],
            "stop_reason": "tool_use",
            "usage": {
                "input_tokens": 10,
                "cache_read_input_tokens": 5,
                "cache_creation_input_tokens": 2,
                "output_tokens": 4,
            },
        },
        {
            "text": "hi",
            "reasoning": "hm",
            "finish_reason": "tool_calls",
            "usage": Usage(17, 4, 5, None, 2),
            "tool_calls": (ToolCall("t", "f", '{"x":1}'),),
        },
    ),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.id)
async def test_answer(answer: Answer, gateway_at: OpenGateway) -> None:
    async with ModelServer(Behaviour(script=[(200, orjson.dumps(answer.body))])) as server:
        reply = await _ask(gateway_at, server, Case("", answer.model, answer.config, {}))
    assert {name: getattr(reply, name) for name in answer.want} == answer.want


MALFORMED = [
    b"[]",
    b"{}",
    b"null",
    b'"x"',
    b"\xff",
    b'{"choices": [], "output": [1], "content": 1}',
    b'{"choices": [{"message": {"content": 5}}], "output": [{"type": "message", "content": [{"text": 5}]}],'
    b' "content": [{"type": "text", "text": 5}]}',
]


@pytest.mark.parametrize("model", ["openai/m", "modern/m", "anthropic/m"])
@pytest.mark.parametrize("body", MALFORMED)
async def test_an_answer_of_another_form_is_malformed(model: str, body: bytes, gateway_at: OpenGateway) -> None:
    async with ModelServer(Behaviour(script=[(200, body)])) as server:
        with pytest.raises(MalformedReplyError):
            await _ask(gateway_at, server, Case("", model, {"max_retries": 0}, {}))


async def test_embeddings_come_in_order_and_in_batches(gateway_at: OpenGateway) -> None:
    toml = '[models.v]\nprovider = "openai"\ntype = "embeddings"\nmax_batch_size = 2\n[roles]\nembedding = "v"\n'
    async with ModelServer() as server, gateway_at(server.url, toml=toml) as gateway:
        reply = await gateway.embed("auto", ["a", "bb", "ccc", "dddd", "eeeee"], dimensions=3)
        assert server.stats.requests == 3
    assert reply.vectors.dtype == np.float32
    assert reply.vectors.shape == (5, 3)
    assert reply.vectors[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert reply.model == "v"
    assert reply.usage.input_tokens == 15
    assert len(reply.attempts) == 3


async def test_embeddings_that_are_missing_are_malformed(gateway_at: OpenGateway) -> None:
    body = orjson.dumps({"data": [{"index": 0, "embedding": [1.0]}]})
    async with ModelServer(Behaviour(script=[(200, body)])) as server, gateway_at(server.url) as gateway:
        with pytest.raises(MalformedReplyError, match="for 2 texts"):
            await gateway.embed("openai/embed", ["a", "b"], max_retries=0)


async def test_transcription_is_a_multipart_form(gateway_at: OpenGateway) -> None:
    recording = Recording(audio=b"RIFF....", filename="a.wav", language="en", prompt="answer=hello")
    async with ModelServer() as server, gateway_at(server.url) as gateway:
        reply = await gateway.transcribe("openai/whisper-1", recording)
        sent = server.stats.last_body
    assert (reply.text, reply.duration_seconds) == ("hello", 1.5)
    assert (sent["file_bytes"], sent["filename"], sent["language"], sent["model"]) == (8, "a.wav", "en", "whisper-1")


async def test_anthropic_only_writes(gateway_at: OpenGateway) -> None:
    async with ModelServer() as server, gateway_at(server.url) as gateway:
        with pytest.raises(UnsupportedParameterError):
            await gateway.embed("anthropic/m", ["a"])
        with pytest.raises(UnsupportedParameterError):
            await gateway.transcribe("anthropic/m", Recording(audio=b"", filename="a.wav"))
