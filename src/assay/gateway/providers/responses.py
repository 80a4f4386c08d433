"""The responses endpoint. Wire facts: https://platform.openai.com/docs/api-reference/responses.

It has no stop sequences; the gateway's enforcement on the output stands in for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yarl import URL

from assay.gateway.entries import ProviderEntry, ResolvedModel
from assay.gateway.generation import Generation
from assay.gateway.providers.base import AttemptCall, RawReply, encode_body, unsupported
from assay.gateway.providers.parsing import malformed, openai_usage, split_thinking, text_or_none
from assay.gateway.providers.transport import Transport
from assay.gateway.types import Message, ModelRequest, ToolCall

_PLAIN = (
    "instructions",
    "temperature",
    "top_p",
    "max_output_tokens",
    "max_tool_calls",
    "reasoning",
    "text",
    "tool_choice",
    "parallel_tool_calls",
    "truncation",
    "service_tier",
)
_ABSENT = (
    "min_p",
    "top_k",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "chat_template_kwargs",
    "prefill_think",
)
_FINISH = {"max_output_tokens": "length", "content_filter": "content_filter"}


class Responses:
    """Replies by ``POST {base_url}/responses``."""

    def __init__(self, transport: Transport, provider: ProviderEntry) -> None:
        self._transport = transport
        self._provider = provider
        self._url = URL(provider.base_url.rstrip("/") + "/responses")

    def prepare_respond(self, model: ResolvedModel, request: ModelRequest) -> AttemptCall[RawReply]:
        """Translate a request; see ``Provider``."""
        generation = request.generation
        body = encode_body(
            {
                "model": model.upstream,
                "input": [item for message in request.messages for item in _items(model, message)],
                "store": False,
                **_parameters(model, generation),
            }
        )

        async def attempt(_: int) -> RawReply:
            reply = await self._transport.post_json(self._url, body, generation.timeout_seconds)
            return parse_response(self._provider.name, reply)

        return attempt


def _parameters(model: ResolvedModel, generation: Generation) -> dict[str, Any]:
    for name in _ABSENT:
        if getattr(generation, name) is not None:
            raise unsupported(model, f"generation.{name}", 'Use a provider with api = "chat", or extra_body.')
    body = {name: value for name in _PLAIN if (value := getattr(generation, name)) is not None}
    if generation.tools:
        body["tools"] = [_tool(tool) for tool in generation.tools]
    return body | dict(generation.extra_body)


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if tool.get("type") == "function" and isinstance(function, Mapping):
        return {"type": "function", **function}
    return dict(tool)


def _items(model: ResolvedModel, message: Message) -> list[dict[str, Any]]:
    if message.tool_call_id is not None:
        return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": message.content}]
    items: list[dict[str, Any]] = []
    if message.content:
        items.append({"role": message.role, "content": _content(model, message)})
    items.extend(
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    )
    return items


def _content(model: ResolvedModel, message: Message) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    parts: list[dict[str, Any]] = []
    for part in message.content:
        if part.get("type") == "text":
            kind = "output_text" if message.role == "assistant" else "input_text"
            parts.append({"type": kind, "text": part["text"]})
        elif part.get("type") == "image_url":
            parts.append({"type": "input_image", "image_url": part["image_url"]["url"]})
        else:
            raise unsupported(model, f"content of type {part.get('type')}")
    return parts


def parse_response(provider: str, body: Any) -> RawReply:
    """Read a ``response`` object.

    Raises:
        MalformedReplyError: It is not one, or it says that it failed.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    try:
        if body.get("status") in ("failed", "cancelled") or body.get("error"):
            raise malformed(provider, body.get("error") or body.get("status"))
        for item in body["output"]:
            kind = item.get("type")
            if kind == "message":
                texts += [part.get("text") or part.get("refusal") or "" for part in item["content"]]
            elif kind == "reasoning":
                thoughts += [part["text"] for part in (item.get("content") or item.get("summary") or ())]
            elif kind == "function_call":
                calls.append(ToolCall(str(item.get("call_id") or item["id"]), item["name"], item["arguments"]))
        text, thought = "".join(texts), "\n\n".join(thoughts)
        details: dict[str, Any] = body.get("incomplete_details") or {}
        reason: str | None = details.get("reason")
    except (KeyError, TypeError, AttributeError) as exc:
        raise malformed(provider, exc) from exc
    text, reasoning = split_thinking(text, open_at_start=False)
    finish = _FINISH.get(reason, reason) if reason else ("tool_calls" if calls else "stop")
    return RawReply(
        text,
        text_or_none(body.get("id")),
        text_or_none(finish),
        thought or reasoning,
        openai_usage(body.get("usage")),
        tuple(calls),
    )
