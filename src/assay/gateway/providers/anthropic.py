"""Anthropic's messages endpoint. Wire facts: https://docs.anthropic.com/en/api/messages.

It needs an output limit on every request and counts cached input apart from other input; ``Usage`` joins them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import orjson
from yarl import URL

from assay.gateway.entries import ProviderEntry, ResolvedModel
from assay.gateway.generation import Generation
from assay.gateway.providers.base import (
    AttemptCall,
    RawEmbeddings,
    RawReply,
    RawTranscription,
    Recording,
    encode_body,
    unsupported,
)
from assay.gateway.providers.parsing import count, malformed, split_thinking, text_or_none
from assay.gateway.providers.transport import Transport
from assay.gateway.types import Message, ModelRequest, ToolCall, Usage
from assay.kit.errors import InvalidError

API_VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 4096
_ABSENT = (
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "chat_template_kwargs",
    "text",
)
_THINKING_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768}
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only"}
_TOOL_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


class AnthropicMessages:
    """Replies by ``POST {base_url}/v1/messages``."""

    def __init__(self, session: aiohttp.ClientSession, provider: ProviderEntry) -> None:
        auth = {"anthropic-version": API_VERSION}
        if provider.api_key is not None:
            auth["x-api-key"] = provider.api_key
        self._transport = Transport(session, provider, auth)
        self._provider = provider
        self._url = URL(provider.base_url.rstrip("/").removesuffix("/v1") + "/v1/messages")

    def prepare_respond(self, model: ResolvedModel, request: ModelRequest) -> AttemptCall[RawReply]:
        """Translate a request; see ``Provider``."""
        generation = request.generation
        body = encode_body(messages_body(model, request))
        prefilled = generation.prefill_think is not None

        async def attempt(_: int) -> RawReply:
            reply = await self._transport.post_json(self._url, body, generation.timeout_seconds)
            return parse_messages(self._provider.name, reply, prefilled=prefilled)

        return attempt

    def prepare_embed(
        self, model: ResolvedModel, texts: Sequence[str], *, dimensions: int | None, timeout_seconds: float
    ) -> AttemptCall[RawEmbeddings]:
        """Refuse: the protocol has no embeddings."""
        raise unsupported(model, "embeddings")

    def prepare_transcribe(
        self, model: ResolvedModel, recording: Recording, *, timeout_seconds: float
    ) -> AttemptCall[RawTranscription]:
        """Refuse: the protocol has no transcription."""
        raise unsupported(model, "audio transcription")


def messages_body(model: ResolvedModel, request: ModelRequest) -> dict[str, Any]:
    """The request body.

    Raises:
        UnsupportedParameterError: A parameter has no counterpart in the messages API.
    """
    generation = request.generation
    systems = [generation.instructions] if generation.instructions is not None else []
    turns: list[dict[str, Any]] = []
    answering = False
    for message in request.messages:
        if message.role in ("system", "developer"):
            systems.append(_plain_text(model, message))
            continue
        turn = _turn(model, message)
        if answering and message.tool_call_id is not None:
            # The API wants the results of one turn's calls together, in the turn that follows it.
            turns[-1]["content"] += turn["content"]
        else:
            turns.append(turn)
        answering = message.tool_call_id is not None
    if generation.prefill_think is not None:
        # The API refuses a last assistant turn that ends in white space.
        turns.append({"role": "assistant", "content": generation.prefill_think.rstrip()})
    body: dict[str, Any] = {"model": model.upstream, "messages": turns, **_parameters(model, generation)}
    if systems:
        body["system"] = "\n\n".join(systems)
    if answering:
        # Thinking goes on after a tool's result only with its signed blocks, which a ``Message`` does not carry.
        body.pop("thinking", None)
    return body | dict(generation.extra_body)


def _parameters(model: ResolvedModel, generation: Generation) -> dict[str, Any]:
    for name in _ABSENT:
        if getattr(generation, name) is not None:
            raise unsupported(model, f"generation.{name}")
    if generation.truncation == "auto":
        raise unsupported(model, "generation.truncation")
    body: dict[str, Any] = {"max_tokens": generation.max_output_tokens or DEFAULT_MAX_TOKENS}
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(generation, name)
        if value is not None:
            body[name] = value
    if generation.stop:
        body["stop_sequences"] = list(generation.stop)
    if generation.service_tier is not None:
        if generation.service_tier not in _SERVICE_TIERS:
            raise unsupported(model, f"generation.service_tier {generation.service_tier}")
        body["service_tier"] = _SERVICE_TIERS[generation.service_tier]
    if generation.reasoning is not None:
        body.update(_thinking(model, generation))
    if generation.tools:
        body["tools"] = [_tool(model, tool) for tool in generation.tools]
    body.update(_tool_choice(model, generation))
    return body


def _thinking(model: ResolvedModel, generation: Generation) -> dict[str, Any]:
    reasoning = generation.reasoning or {}
    for key, value in reasoning.items():
        if key != "effort" and value is not None:
            raise unsupported(model, f"generation.reasoning.{key}")
    effort = reasoning.get("effort")
    if effort is None:
        return {}
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    budget = _THINKING_BUDGETS.get(str(effort))
    if budget is None:
        raise unsupported(model, f"generation.reasoning.effort {effort!r}")
    limit = generation.max_output_tokens
    if limit is not None and limit <= budget:
        raise unsupported(
            model,
            "generation.max_output_tokens",
            f"Effort {effort} thinks with up to {budget} tokens, which count as output; allow more than that.",
        )
    return {
        "thinking": {"type": "enabled", "budget_tokens": budget},
        "max_tokens": limit or DEFAULT_MAX_TOKENS + budget,
    }


def _tool(model: ResolvedModel, tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise unsupported(model, "generation.tools", "Only tools of type function are passed on.")
    function = tool.get("function", tool)
    wire = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object"}}
    if function.get("description"):
        wire["description"] = function["description"]
    return wire


def _tool_choice(model: ResolvedModel, generation: Generation) -> dict[str, Any]:
    choice = generation.tool_choice
    if choice is None and generation.parallel_tool_calls is None:
        return {}
    if choice is None and not generation.tools:
        raise unsupported(model, "generation.parallel_tool_calls", "It is meant for requests with tools.")
    if isinstance(choice, Mapping):
        function: Mapping[str, Any] = choice.get("function") or {}
        name = choice.get("name") or function.get("name")
        wire: dict[str, Any] = {"type": "tool", "name": name}
    else:
        wire = {"type": _TOOL_CHOICES.get(choice or "auto")}
        if wire["type"] is None:
            raise unsupported(model, f"generation.tool_choice {choice!r}")
    if generation.parallel_tool_calls is not None and wire["type"] != "none":
        wire["disable_parallel_tool_use"] = not generation.parallel_tool_calls
    return {"tool_choice": wire}


def _plain_text(model: ResolvedModel, message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    if any(part.get("type") != "text" for part in message.content):
        raise unsupported(model, f"a {message.role} message that is not text")
    return "".join(part["text"] for part in message.content)


def _turn(model: ResolvedModel, message: Message) -> dict[str, Any]:
    if message.tool_call_id is not None:
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
        return {"role": "user", "content": [result]}
    if isinstance(message.content, str) and not message.tool_calls:
        return {"role": message.role, "content": message.content}
    blocks = [_block(model, part) for part in _parts(message)]
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _arguments(call)} for call in message.tool_calls
    ]
    return {"role": message.role, "content": blocks}


def _arguments(call: ToolCall) -> Any:
    try:
        return orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError as exc:
        raise InvalidError(f"The arguments of tool call {call.id} are not JSON: {exc}.", param="messages") from exc


def _parts(message: Message) -> Sequence[Mapping[str, Any]]:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.content else []
    return message.content


def _block(model: ResolvedModel, part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": "text", "text": part["text"]}
    if part.get("type") != "image_url":
        raise unsupported(model, f"content of type {part.get('type')}")
    url: str = part["image_url"]["url"]
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    media_type, _, data = url.removeprefix("data:").partition(";base64,")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def parse_messages(provider: str, body: Any, *, prefilled: bool = False) -> RawReply:
    """Read a ``message`` object.

    Raises:
        MalformedReplyError: It is not one.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    try:
        for block in body["content"]:
            kind = block["type"]
            if kind == "text":
                texts.append(block["text"])
            elif kind == "thinking":
                thoughts.append(block["thinking"])
            elif kind == "tool_use":
                calls.append(ToolCall(block["id"], block["name"], orjson.dumps(block["input"]).decode()))
        usage = _usage(body.get("usage") or {})
        stop_reason = text_or_none(body.get("stop_reason"))
        text, thought = "".join(texts), "\n\n".join(thoughts)
    except (KeyError, TypeError, AttributeError) as exc:
        raise malformed(provider, exc) from exc
    text, reasoning = split_thinking(text, open_at_start=prefilled)
    finish = None if stop_reason is None else _FINISH.get(stop_reason, stop_reason)
    return RawReply(text, text_or_none(body.get("id")), finish, thought or reasoning, usage, tuple(calls))


def _usage(usage: Mapping[str, Any]) -> Usage:
    fresh = count(usage.get("input_tokens"))
    read, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    total = None if fresh is None else fresh + (read or 0) + (written or 0)
    return Usage(total, count(usage.get("output_tokens")), read, None, written)
