"""Between the core's responses and the dialect's JSON (M§3.7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from assay.core.conversations.service import Conversation
from assay.core.responses.errors import ResponseInputError
from assay.core.responses.types import NewResponse, Response
from assay.dialects.mka1.identifiers import Prefix, read_id, write_id
from assay.dialects.mka1.mapping import unix, unix_or_none
from assay.dialects.mka1.wire.responses import CreateResponse, WireConversation

SETTINGS = (
    "instructions",
    "tool_choice",
    "parallel_tool_calls",
    "fallback_models",
    "text",
    "reasoning",
    "max_output_tokens",
    "temperature",
    "top_p",
    "min_p",
    "top_k",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "stop",
    "do_sample",
    "extra_body",
    "chat_template_kwargs",
    "prefill_think",
    "truncation",
    "service_tier",
    "prompt_cache_key",
    "safety_identifier",
    "user",
)
_ECHOED = (
    "reasoning",
    "service_tier",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "prompt_cache_key",
    "safety_identifier",
    "context_management",
)


def from_create_response(body: CreateResponse) -> NewResponse:
    """What a response is to be made of.

    Raises:
        UnknownIdError, ResponseInputError: What it goes on from is not named by an id.
    """
    settings = {name: value for name in SETTINGS if (value := getattr(body, name)) is not None}
    if body.context_management:
        settings["context_management"] = [rule.model_dump(exclude_none=True) for rule in body.context_management]
    previous = body.previous_response_id
    return NewResponse(
        model=body.model,
        input=body.input,
        settings=settings,
        tools=body.tools or (),
        conversation_id=_conversation_id(body.conversation),
        previous_id=None if previous is None else read_response_id(previous, param="previous_response_id"),
        background=body.background is True,
        stored=body.store is not False,
        metadata=body.metadata,
        max_tool_calls=body.max_tool_calls,
    )


def _conversation_id(value: str | dict[str, Any] | None) -> UUID | None:
    if value is None:
        return None
    name = value if isinstance(value, str) else value.get("id")
    if not isinstance(name, str):
        raise ResponseInputError("`conversation` must be an id, or an object with one.", param="conversation")
    return read_conversation_id(name, param="conversation")


def read_response_id(text: str, *, param: str = "response_id") -> UUID:
    """The row's id.

    Raises:
        UnknownIdError: It is no response's id.
    """
    return read_id(Prefix.RESPONSE, text, param=param)


def read_conversation_id(text: str, *, param: str = "conversation_id") -> UUID:
    """The row's id.

    Raises:
        UnknownIdError: It is no conversation's id.
    """
    return read_id(Prefix.CONVERSATION, text, param=param)


def render_response(response: Response) -> dict[str, Any]:
    """A response in the form of the Responses API, every required key present."""
    settings = response.settings
    body: dict[str, Any] = {
        "id": write_id(Prefix.RESPONSE, response.id),
        "object": "response",
        "created_at": unix(response.created_at),
        "completed_at": unix_or_none(response.completed_at),
        "status": response.status.value,
        "error": None if response.error is None else dict(response.error),
        "incomplete_details": None if response.incomplete_reason is None else {"reason": response.incomplete_reason},
        "background": response.background,
        "instructions": settings.get("instructions"),
        "max_output_tokens": settings.get("max_output_tokens"),
        "max_tool_calls": response.max_tool_calls,
        "metadata": dict(response.metadata),
        "model": response.model,
        "output": [dict(item) for item in response.output],
        "output_text": output_text(response),
        "parallel_tool_calls": settings.get("parallel_tool_calls") is not False,
        "previous_response_id": _written(Prefix.RESPONSE, response.previous_id),
        "store": response.stored,
        "text": {"format": {"type": "text"}, **(settings.get("text") or {})},
        "tool_choice": settings.get("tool_choice") or "auto",
        "tools": [_tool(tool) for tool in response.tools],
        "truncation": settings.get("truncation") or "disabled",
        "usage": _usage(response),
        "user": settings.get("user"),
    }
    if response.conversation_id is not None:
        body["conversation"] = {"id": write_id(Prefix.CONVERSATION, response.conversation_id)}
    if response.resolved_model is not None:
        body |= {"resolved_model": response.resolved_model, "resolved_provider": response.resolved_provider}
    return body | {name: settings[name] for name in _ECHOED if settings.get(name) is not None}


def output_text(response: Response) -> str:
    """All text of a response's messages."""
    return "".join(
        str(part.get("text", "")) for item in response.output if item["type"] == "message" for part in item["content"]
    )


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    # The client takes a function without the key for a tool of another kind.
    return {"strict": False, **tool} if tool.get("type") == "function" else dict(tool)


def _usage(response: Response) -> Mapping[str, Any]:
    """Tokens, as far as they were reported: the published form has no way to say that nobody did (M§3.7)."""
    spent = response.spent
    asked, said = spent.input_tokens or 0, spent.output_tokens or 0
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": spent.cached_tokens or 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": spent.reasoning_tokens or 0},
        "total_tokens": asked + said,
    }


def to_conversation(conversation: Conversation) -> WireConversation:
    """A conversation."""
    return WireConversation(
        id=write_id(Prefix.CONVERSATION, conversation.id),
        object="conversation",
        created_at=unix(conversation.created_at),
        deleted_at=unix_or_none(conversation.deleted_at),
        metadata=dict(conversation.metadata),
    )


def _written(prefix: Prefix, row_id: UUID | None) -> str | None:
    return None if row_id is None else write_id(prefix, row_id)
