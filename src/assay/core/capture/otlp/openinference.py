"""The OpenInference conventions (`github.com/Arize-ai/openinference`, spec/semantic_conventions.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.capture.otlp.messages import as_list, mapping, structured, unflatten
from assay.core.capture.otlp.readings import Reading, first, look_up
from assay.core.capture.otlp.spans import Span
from assay.core.events.types import EMBEDDING, GENERATION, SPAN

KIND = "openinference.span.kind"
TABLE = {
    "$ai_provider": ("llm.provider", "llm.system"),
    "$ai_model": ("llm.model_name", "embedding.model_name", "reranker.model_name"),
    "$ai_input_tokens": ("llm.token_count.prompt",),
    "$ai_output_tokens": ("llm.token_count.completion",),
    "$ai_cache_read_input_tokens": ("llm.token_count.prompt_details.cache_read",),
    "$ai_cache_creation_input_tokens": ("llm.token_count.prompt_details.cache_write",),
    "$ai_reasoning_tokens": ("llm.token_count.completion_details.reasoning",),
    "$ai_input_cost_usd": ("llm.cost.prompt",),
    "$ai_output_cost_usd": ("llm.cost.completion",),
    "$ai_total_cost_usd": ("llm.cost.total",),
    "$ai_span_name": ("tool.name", "agent.name"),
    "$ai_prompt_version": ("llm.prompt_template.version",),
}
PREFIXES = ("openinference.", "llm.", "embedding.", "input.", "output.", "tool.", "agent.name")
"""Attributes that are said by properties, and need not be kept beside them."""

_EVENT_OF_KIND = {"LLM": GENERATION, "EMBEDDING": EMBEDDING}


def speaks(attributes: Mapping[str, Any]) -> bool:
    """Whether a span follows these conventions."""
    return KIND in attributes or "llm.model_name" in attributes


def read(span: Span) -> Reading:
    """What the span says."""
    attributes = span.attributes
    event = _EVENT_OF_KIND.get(str(attributes.get(KIND, "LLM")).upper(), SPAN)
    properties = look_up(attributes, TABLE)
    if (parameters := structured(attributes.get("llm.invocation_parameters"))) is not None:
        properties["$ai_model_parameters"] = parameters
    if tools := as_list(unflatten(attributes, "llm.tools")):
        properties["$ai_tools"] = [structured(mapping(mapping(item).get("tool")).get("json_schema")) for item in tools]
    return Reading(event, _input(attributes, event), _output(attributes), properties)


def _input(attributes: Mapping[str, Any], event: str) -> Any:
    if messages := as_list(unflatten(attributes, "llm.input_messages")):
        return [_message(mapping(item).get("message")) for item in messages]
    if event == EMBEDDING:
        items = as_list(unflatten(attributes, "embedding.embeddings"))
        texts = [mapping(mapping(item).get("embedding")).get("text") for item in items]
        if found := [text for text in texts if text is not None]:
            return found
    return structured(first(attributes, ("input.value", "tool.parameters")))


def _output(attributes: Mapping[str, Any]) -> Any:
    if messages := as_list(unflatten(attributes, "llm.output_messages")):
        return [_message(mapping(item).get("message")) for item in messages]
    if documents := as_list(unflatten(attributes, "retrieval.documents")):
        return [mapping(item).get("document") for item in documents]
    return structured(attributes.get("output.value"))


def _message(value: Any) -> dict[str, Any]:
    """A message as the vendors of models write it."""
    fields = mapping(value)
    names = ("role", "content", "name", "tool_call_id")
    message: dict[str, Any] = {name: fields[name] for name in names if fields.get(name) is not None}
    if contents := as_list(fields.get("contents")):
        message["content"] = [_part(mapping(item).get("message_content")) for item in contents]
    if calls := as_list(fields.get("tool_calls")):
        message["tool_calls"] = [mapping(item).get("tool_call") for item in calls]
    return message


def _part(value: Any) -> dict[str, Any]:
    fields = dict(mapping(value))
    if isinstance(image := mapping(fields.get("image")).get("image"), dict):
        fields["image"] = image
    return fields
