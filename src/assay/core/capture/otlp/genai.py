"""OpenTelemetry's GenAI conventions (`opentelemetry.io/docs/specs/semconv/gen-ai`) and the forms that came before.

messages in attributes      gen_ai.input.messages, gen_ai.output.messages           1.37 and newer
messages in one event       gen_ai.client.inference.operation.details               the same, as an event
one event for each message  gen_ai.user.message, gen_ai.choice, …                   1.28 to 1.36
two events                  gen_ai.content.prompt, gen_ai.content.completion        before 1.28
numbered attributes         gen_ai.prompt.0.content, gen_ai.completion.0.content    OpenLLMetry
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from assay.core.capture.otlp.messages import as_list, mapping, structured, unflatten
from assay.core.capture.otlp.readings import Reading, first, look_up
from assay.core.capture.otlp.spans import Span
from assay.core.events.types import EMBEDDING, GENERATION, SPAN

TABLE = {
    "$ai_provider": ("gen_ai.provider.name", "gen_ai.system"),
    "$ai_model": ("gen_ai.request.model", "gen_ai.response.model"),
    "$ai_session_id": ("gen_ai.conversation.id",),
    "$ai_input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "$ai_output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "$ai_cache_read_input_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
    ),
    "$ai_cache_creation_input_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    "$ai_reasoning_tokens": ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
    "$ai_span_name": ("gen_ai.tool.name", "gen_ai.agent.name", "traceloop.entity.name"),
    "$ai_prompt_name": ("gen_ai.prompt.name",),
    "$ai_prompt_version": ("gen_ai.prompt.version",),
}
PREFIXES = ("gen_ai.", "traceloop.entity.", "llm.request.type")
"""Attributes that are said by properties, and need not be kept beside them."""

_EVENT_OF_OPERATION = {
    "chat": GENERATION,
    "completion": GENERATION,
    "text_completion": GENERATION,
    "generate_content": GENERATION,
    "embedding": EMBEDDING,
    "embeddings": EMBEDDING,
}
_REQUEST = "gen_ai.request."
_NOT_PARAMETERS = frozenset({"model"})
_DETAILS = "gen_ai.client.inference.operation.details"
_CHOICE = "gen_ai.choice"
_MESSAGE_ROLES = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}


def read(span: Span) -> Reading:
    """What the span says; of a span that says nothing, that it is a step."""
    attributes = _with_details(span)
    properties = look_up(attributes, TABLE)
    if parameters := {
        key.removeprefix(_REQUEST): value
        for key, value in attributes.items()
        if key.startswith(_REQUEST) and key.removeprefix(_REQUEST) not in _NOT_PARAMETERS
    }:
        properties["$ai_model_parameters"] = parameters
    if (tools := structured(attributes.get("gen_ai.tool.definitions"))) is not None:
        properties["$ai_tools"] = tools
    if reasons := as_list(structured(attributes.get("gen_ai.response.finish_reasons"))):
        properties["$ai_stop_reason"] = reasons[0]
    return Reading(_event(attributes), _input(attributes, span), _output(attributes, span), properties)


def _with_details(span: Span) -> Mapping[str, Any]:
    details = [event.attributes for event in span.events if event.name == _DETAILS]
    return {**details[-1], **span.attributes} if details else span.attributes


def _event(attributes: Mapping[str, Any]) -> str:
    operation = first(attributes, ("gen_ai.operation.name", "llm.request.type"))
    if operation is not None:
        return _EVENT_OF_OPERATION.get(str(operation).lower(), SPAN)
    speaks = any(key.startswith(("gen_ai.prompt", "gen_ai.completion", "gen_ai.usage.")) for key in attributes)
    # Before operations had names, a request to a model was one that told its model.
    return GENERATION if speaks or "gen_ai.request.model" in attributes else SPAN


def _input(attributes: Mapping[str, Any], span: Span) -> Any:
    system = structured(attributes.get("gen_ai.system_instructions"))
    if (messages := structured(attributes.get("gen_ai.input.messages"))) is not None:
        instructions = [] if system is None else [{"role": "system", "parts": as_list(system)}]
        return [*instructions, *as_list(messages)]
    if (numbered := unflatten(_messages_only(attributes), "gen_ai.prompt")) is not None:
        return numbered
    told = [_told(event.attributes, role) for event in span.events if (role := _MESSAGE_ROLES.get(event.name))]
    whole = first(attributes, ("gen_ai.prompt", "gen_ai.tool.call.arguments", "traceloop.entity.input"))
    if told or whole is None:
        whole = told or _content(span, "gen_ai.content.prompt", "gen_ai.prompt")
    return structured(whole)


def _output(attributes: Mapping[str, Any], span: Span) -> Any:
    if (messages := structured(attributes.get("gen_ai.output.messages"))) is not None:
        return as_list(messages)
    if (numbered := unflatten(attributes, "gen_ai.completion")) is not None:
        return numbered
    told = list(_choices(span))
    whole = first(attributes, ("gen_ai.completion", "gen_ai.tool.call.result", "traceloop.entity.output"))
    if told or whole is None:
        whole = told or _content(span, "gen_ai.content.completion", "gen_ai.completion")
    return structured(whole)


def _messages_only(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the name and the version of a managed prompt, which have the same prefix."""
    return {
        key: value for key, value in attributes.items() if key not in ("gen_ai.prompt.name", "gen_ai.prompt.version")
    }


def _told(attributes: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The message of one event."""
    names = ("content", "tool_calls", "name")
    found = {name: structured(attributes[name]) for name in names if attributes.get(name) is not None}
    if role == "tool" and attributes.get("id") is not None:
        found["tool_call_id"] = attributes["id"]
    return {"role": attributes.get("role", role), **found}


def _choices(span: Span) -> Iterator[dict[str, Any]]:
    for event in span.events:
        if event.name == _CHOICE:
            message = mapping(structured(event.attributes.get("message")))
            yield {**_told(event.attributes, "assistant"), **message}


def _content(span: Span, event_name: str, attribute: str) -> Any:
    found = [event.attributes.get(attribute) for event in span.events if event.name == event_name]
    return found[0] if len(found) == 1 else found or None
