"""From items to the messages of a request.

A model turn is one assistant message: its text and all its calls. Items say which turn they belong to; those that
clients sent say it by their order. Results follow their calls, and a call without a result gets one that says so, since
providers refuse a call that nobody answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from assay.core.conversations.items import CALL_INDEX
from assay.core.responses.types import ContextItem
from assay.gateway.tokens import count_tokens
from assay.gateway.types import Content, Message, ToolCall
from assay.kit import json

NO_RESULT = json.dumps({"error": {"code": "no_result", "message": "No output of this call was recorded."}})
SUMMARY = "Summary of the conversation so far:\n"

Turn = tuple[UUID, int] | None


@dataclass(slots=True)
class _Open:
    """An assistant's message that may still grow."""

    turn: Turn
    text: str = ""
    calls: list[tuple[int, ToolCall]] = field(default_factory=list[tuple[int, ToolCall]])
    """With their places in the turn; those that clients sent stay in the order in which they were sent."""
    results: dict[str, str] = field(default_factory=dict[str, str])

    def takes(self, turn: Turn) -> bool:
        """Whether a call of that turn is one of this message's."""
        return turn == self.turn if turn is not None else self.turn is None and not self.results

    def close(self) -> Iterator[Message]:
        calls = tuple(call for _, call in sorted(self.calls, key=lambda placed: placed[0]))
        yield Message("assistant", self.text, calls)
        for call in calls:
            yield Message("tool", self.results.get(call.id, NO_RESULT), tool_call_id=call.id)


def to_messages(items: Sequence[ContextItem]) -> list[Message]:
    """The messages that tell a model of the items, from the last compaction on."""
    messages: list[Message] = []
    current: _Open | None = None
    for entry in since_compaction(items):
        item = entry.item
        kind = item["type"]
        if kind == "function_call_output" and current is not None:
            current.results[item["call_id"]] = item["output"]
            continue
        call = _call_of(item)
        if call is not None:
            if current is None or not current.takes(entry.turn):
                messages += [] if current is None else current.close()
                current = _Open(entry.turn)
            current.calls.append((item.get(CALL_INDEX, len(current.calls)), call))
            if kind == "mcp_call":
                current.results[call.id] = _mcp_result(item)
            continue
        message = _message_of(item)
        if message is None:
            continue
        messages += [] if current is None else current.close()
        current = None
        if message.role == "assistant" and isinstance(message.content, str):
            current = _Open(entry.turn, message.content)
        else:
            messages.append(message)
    messages += [] if current is None else current.close()
    return messages


def since_compaction(items: Sequence[ContextItem]) -> list[ContextItem]:
    """What is left of the items once the last compaction stands for everything before it."""
    last = max((place for place, entry in enumerate(items) if entry.item["type"] == "compaction"), default=None)
    if last is None:
        return list(items)
    return list(items[last:])


def count_context_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens messages take, by one ruler for all models."""
    return sum(4 + count_tokens(_plain(message)) for message in messages)


def _plain(message: Message) -> str:
    calls = "".join(call.name + call.arguments for call in message.tool_calls)
    if isinstance(message.content, str):
        return message.content + calls
    return "".join(str(part.get("text", "")) for part in message.content) + calls


def _call_of(item: Mapping[str, Any]) -> ToolCall | None:
    match item["type"]:
        case "function_call":
            return ToolCall(item["call_id"], item["name"], _valid_arguments(item["arguments"]))
        case "mcp_call":
            name = item.get("function_name") or f"{item['server_label']}__{item['name']}"
            return ToolCall(str(item.get("call_id") or item["id"]), name, _valid_arguments(item["arguments"]))
        case _:
            return None


def _valid_arguments(text: str) -> str:
    """The arguments as JSON, since providers parse them: what a model wrote wrongly is told to it in its result."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return json.dumps({"invalid": text})
    return text if isinstance(value, dict) and text else json.dumps({"invalid": value} if value else {})


def _mcp_result(item: Mapping[str, Any]) -> str:
    error = item.get("error")
    return str(error) if error else str(item.get("output") or "")


def _message_of(item: Mapping[str, Any]) -> Message | None:
    match item["type"]:
        case "message":
            return Message(item["role"], _content(item["content"]))
        case "compaction":
            return Message("developer", SUMMARY + item["content"])
        case "mcp_list_tools" if item.get("error"):
            return Message(
                "developer", f"The tools of the MCP server {item['server_label']} are not available: {item['error']}"
            )
        case "function_call_output":
            # Of a call that is not in the context any more.
            return Message("developer", f"Output of call {item['call_id']}: {item['output']}")
        case _:
            return None


def _content(parts: Sequence[Mapping[str, Any]]) -> Content:
    made: list[dict[str, Any]] = []
    for part in parts:
        if part["type"] == "input_image":
            made.append({"type": "image_url", "image_url": {"url": part["image_url"]}})
        else:
            made.append({"type": "text", "text": part.get("text") or part.get("refusal") or ""})
    if all(part["type"] == "text" for part in made):
        return "\n".join(cast("str", part["text"]) for part in made)
    return tuple(made)
