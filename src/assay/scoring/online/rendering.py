"""Messages as text (contract §3.4): for the judge, for previews, for ``input_text`` and ``output_text``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

PREVIEW_CHARACTERS = 200


def preview(value: Any) -> str:
    """The first characters of a rendered value."""
    return render(value)[:PREVIEW_CHARACTERS]


def render(value: Any) -> str:
    """Text of an input or output: messages one to a line, strings as they are, nothing for nothing."""
    match value:
        case str():
            return value
        case list():
            elements = cast("list[Any]", value)
            return "\n".join(line for element in elements for line in _element_lines(element))
        case Mapping():
            return "\n".join(_message_lines(cast("Mapping[str, Any]", value)))
        case _:
            return json_text(value) if value else ""


def json_text(value: Any) -> str:
    """JSON with the separators and escapes of Python's own encoder, which the contract names."""
    try:
        return json.dumps(value)
    except RecursionError:
        return "[nested too deeply]"


def _element_lines(element: Any) -> Iterator[str]:
    if isinstance(element, str):
        yield element
    elif isinstance(element, Mapping):
        yield from _message_lines(cast("Mapping[str, Any]", element))
    elif element is not None:
        yield json_text(element)


def _message_lines(message: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a message: one, but for messages of parts."""
    if not message:
        return
    role = message.get("role")
    label = role if isinstance(role, str) else ""
    content, parts = message.get("content"), message.get("parts")
    if label and content is None and isinstance(parts, list):
        yield from _part_lines(label, [part for part in cast("list[Any]", parts) if part])
        return
    text = " ".join(piece for piece in (_content_text(content), *_tool_calls(message.get("tool_calls"))) if piece)
    if label == "tool" and message.get("tool_call_id"):
        label = f"tool[{message['tool_call_id']}]"
    if label or text:
        yield _labelled(label, text)
    else:
        yield json_text(dict(message))


def _labelled(label: str, text: str) -> str:
    if not label:
        return text
    return f"{label}: {text}" if text else f"{label}:"


def _content_text(content: Any) -> str:
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            return " ".join(filter(None, map(_block_text, cast("list[Any]", content))))
        case _:
            return _block_text(content)


def _block_text(block: Any) -> str:
    """A block's ``text``, else its ``content``, else all of it."""
    if isinstance(block, Mapping):
        fields = cast("Mapping[str, Any]", block)
        for name in ("text", "content"):
            if isinstance(fields.get(name), str):
                return fields[name]
        return json_text(dict(fields))
    return block if isinstance(block, str) else json_text(block)


def _tool_calls(calls: Any) -> Iterator[str]:
    if not isinstance(calls, list):
        return
    for call in cast("list[Any]", calls):
        if isinstance(call, Mapping):
            fields = cast("Mapping[str, Any]", call)
            inner = fields.get("function")
            named = cast("Mapping[str, Any]", inner) if isinstance(inner, Mapping) else fields
            yield _tool_call(fields.get("id"), named.get("name"), named.get("arguments"))


def _tool_call(call_id: Any, name: Any, arguments: Any) -> str:
    text = "" if arguments is None else arguments if isinstance(arguments, str) else json_text(arguments)
    label = f"tool_call {call_id}" if call_id else "tool_call"
    return f"[{label}: {name or ''}({text})]"


def _part_lines(role: str, parts: Sequence[Any]) -> Iterator[str]:
    """A message of OpenTelemetry's GenAI conventions: its spoken line first, then thoughts and tool results."""
    spoken: list[str] = []
    apart: list[str] = []
    for part in parts:
        fields = cast("Mapping[str, Any]", part if isinstance(part, Mapping) else {"type": "text", "content": part})
        match fields.get("type"):
            case "tool_call":
                spoken.append(_tool_call(fields.get("id"), fields.get("name"), fields.get("arguments")))
            case "tool_call_response":
                label = f"tool[{fields['id']}]" if fields.get("id") else "tool"
                answer = fields.get("response", fields.get("result", fields.get("content")))
                apart.append(_labelled(label, _content_text(answer)))
            case "reasoning" | "thinking":
                apart.append(_labelled("thinking", _block_text(fields)))
            case "blob" | "uri" | "file" as kind:
                spoken.append(f"[{fields.get('modality') or fields.get('mime_type') or kind}]")
            case _:
                spoken.append(_block_text(fields))
    if spoken or not apart:
        yield _labelled(role, " ".join(filter(None, spoken)))
    yield from apart
