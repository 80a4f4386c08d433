"""The chat completions endpoint, as OpenAI defined it and vLLM, Ollama, llama.cpp and many others serve it.

Wire facts: https://platform.openai.com/docs/api-reference/chat. The fields beyond it (``min_p``, ``top_k``,
``repetition_penalty``, ``chat_template_kwargs``, ``continue_final_message``) are those of vLLM's server; a server that
does not know them says so, and its message reaches the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from yarl import URL

from assay.gateway.entries import ProviderEntry, ResolvedModel
from assay.gateway.generation import Generation
from assay.gateway.providers.base import AttemptCall, RawReply, encode_body, unsupported
from assay.gateway.providers.parsing import malformed, openai_usage, split_thinking, text_or_none
from assay.gateway.providers.transport import Transport
from assay.gateway.types import Message, ModelRequest, ToolCall

_UPSTREAM_STOPS = 4
"""OpenAI refuses more; the gateway enforces the others on the output."""
_CACHED_TRANSLATIONS = 256
_PLAIN = (
    "temperature",
    "top_p",
    "min_p",
    "top_k",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "parallel_tool_calls",
    "service_tier",
    "chat_template_kwargs",
)


class ChatCompletions:
    """Replies by ``POST {base_url}/chat/completions``."""

    def __init__(self, transport: Transport, provider: ProviderEntry) -> None:
        self._transport = transport
        self._provider = provider
        self._url = URL(provider.base_url.rstrip("/") + "/chat/completions")
        self._translations: dict[Generation, dict[str, Any]] = {}

    def prepare_respond(self, model: ResolvedModel, request: ModelRequest) -> AttemptCall[RawReply]:
        """Translate a request; see ``Provider``."""
        generation = request.generation
        parameters = self._translations.get(generation)
        if parameters is None:
            parameters = chat_parameters(model, generation)
            if len(self._translations) >= _CACHED_TRANSLATIONS:
                self._translations.clear()
            self._translations[generation] = parameters
        body = encode_body(
            {"model": model.upstream, "messages": chat_messages(request.messages, generation), **parameters}
        )
        prefilled = generation.prefill_think is not None
        transport, url, name = self._transport, self._url, self._provider.name
        timeout_seconds = generation.timeout_seconds

        async def attempt(_: int) -> RawReply:
            return parse_chat(name, await transport.post_json(url, body, timeout_seconds), prefilled=prefilled)

        return attempt


def chat_messages(messages: tuple[Message, ...], generation: Generation) -> list[dict[str, Any]]:
    """Messages in wire form, with the instructions before and the prefilled thinking after them."""
    wire: list[dict[str, Any]] = []
    if generation.instructions is not None:
        wire.append({"role": "system", "content": generation.instructions})
    for message in messages:
        entry: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            entry["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            entry["tool_call_id"] = message.tool_call_id
        wire.append(entry)
    if generation.prefill_think is not None:
        wire.append({"role": "assistant", "content": generation.prefill_think})
    return wire


def chat_parameters(model: ResolvedModel, generation: Generation) -> dict[str, Any]:
    """Everything of the body but model and messages.

    Raises:
        UnsupportedParameterError: A parameter has no counterpart in chat completions.
    """
    body: dict[str, Any] = {}
    for name in _PLAIN:
        value = getattr(generation, name)
        if value is not None:
            body[name] = value
    if generation.max_output_tokens is not None:
        body[model.provider.output_limit_field] = generation.max_output_tokens
    if generation.stop:
        body["stop"] = list(generation.stop[:_UPSTREAM_STOPS])
    if generation.truncation == "auto":
        raise unsupported(model, "generation.truncation", 'Use a provider with api = "responses", or remove it.')
    if generation.reasoning is not None:
        body.update(_reasoning(model, generation.reasoning))
    if generation.text is not None:
        body.update(_text_options(model, generation.text))
    if generation.tools:
        body["tools"] = [_tool(model, tool) for tool in generation.tools]
    if generation.tool_choice is not None:
        body["tool_choice"] = _tool_choice(model, generation.tool_choice)
    if generation.prefill_think is not None:
        body.update(add_generation_prompt=False, continue_final_message=True)
    return body | dict(generation.extra_body)


def _reasoning(model: ResolvedModel, reasoning: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in reasoning.items():
        if key != "effort" and value is not None:
            raise unsupported(model, f"generation.reasoning.{key}")
    effort = reasoning.get("effort")
    return {} if effort is None else {"reasoning_effort": effort}


def _text_options(model: ResolvedModel, text: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for key, value in text.items():
        if value is None:
            continue
        if key == "verbosity":
            body["verbosity"] = value
        elif key == "format" and isinstance(value, Mapping):
            body["response_format"] = _response_format(cast("Mapping[str, Any]", value))
        else:
            raise unsupported(model, f"generation.text.{key}")
    return body


def _response_format(form: Mapping[str, Any]) -> dict[str, Any]:
    # Responses holds a schema's fields flat; chat completions nests them.
    if form.get("type") == "json_schema" and "json_schema" not in form:
        return {"type": "json_schema", "json_schema": {k: v for k, v in form.items() if k != "type"}}
    return dict(form)


def _tool(model: ResolvedModel, tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise unsupported(model, "generation.tools", "Chat completions knows tools of type function only.")
    if "function" in tool:
        return dict(tool)
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _tool_choice(model: ResolvedModel, choice: str | Mapping[str, Any]) -> str | dict[str, Any]:
    if isinstance(choice, str):
        return choice
    if choice.get("type") != "function":
        raise unsupported(model, "generation.tool_choice", "Chat completions can force a function only.")
    return dict(choice) if "function" in choice else {"type": "function", "function": {"name": choice.get("name")}}


def parse_chat(provider: str, body: Any, *, prefilled: bool = False) -> RawReply:
    """Read a ``chat.completion`` object.

    Raises:
        MalformedReplyError: It is not one.
    """
    try:
        choice = body["choices"][0]
        message = choice["message"]
        content = message.get("content")
        calls = message.get("tool_calls")
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        text = content if type(content) is str else _joined(content)
        tool_calls = _tool_calls(calls) if calls else ()
    except (KeyError, TypeError, IndexError, AttributeError) as exc:
        raise malformed(provider, exc) from exc
    if not isinstance(reasoning, str):
        text, reasoning = split_thinking(text, open_at_start=prefilled)
    return RawReply(
        text,
        text_or_none(body.get("id")),
        text_or_none(choice.get("finish_reason")),
        reasoning,
        openai_usage(body.get("usage")),
        tool_calls,
    )


def _joined(content: Any) -> str:
    """Text of a content that is null or a list of parts."""
    return "" if content is None else "".join(part["text"] for part in content if part.get("type") == "text")


def _tool_calls(calls: Any) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(str(call.get("id", "")), call["function"]["name"], call["function"].get("arguments") or "")
        for call in calls
        if "function" in call
    )
