"""Items of the Responses API: what a conversation consists of.

An item is kept as it was sent, with an id if it had none, once it is known that a model can be told of it. What no
model here can be told (files, audio, calls of hosted tools) is refused rather than left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.core.conversations.errors import ItemError
from assay.kit.ids import new_id

ROLES = frozenset({"user", "assistant", "system", "developer"})
_PREFIXES: Mapping[str, str] = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "reasoning": "rs_",
    "mcp_call": "mcp_",
    "mcp_list_tools": "mcpl_",
    "mcp_approval_request": "mcpr_",
    "mcp_approval_response": "mcpa_",
    "compaction": "cmp_",
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id",),
    "mcp_call": ("name", "server_label", "arguments"),
    "mcp_approval_request": ("name", "server_label", "arguments"),
    "mcp_approval_response": ("approval_request_id",),
    "compaction": ("content",),
}
_TEXT_PARTS = frozenset({"input_text", "output_text", "text"})


CALL_INDEX = "call_index"
"""Our own key of a call: its place among the calls of its turn, which end, and so are stored, in any order."""


def public_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as clients see it."""
    return {name: value for name, value in item.items() if name != CALL_INDEX}


def item_id(kind: str) -> str:
    """A new id for an item of a kind."""
    return f"{_PREFIXES[kind]}{new_id().hex}"


def check_items(given: str | Sequence[Any], *, where: str = "input") -> list[dict[str, Any]]:
    """Items with ids.

    Args:
        given: A text, which is a message of the user's, or items.
        where: How the field is called, for messages.

    Raises:
        ItemError: With the place of the fault.
    """
    if isinstance(given, str):
        return [_message("user", given)]
    items: list[dict[str, Any]] = []
    for index, value in enumerate(given):
        items.append(_checked(value, f"{where}[{index}]"))
    return items


def _checked(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ItemError(f"`{where}` must be an object.", param=where)
    item = public_item(cast("Mapping[str, Any]", value))
    kind = item.get("type") or ("message" if "role" in item else None)
    if kind in _TEXT_PARTS and "role" not in item:
        # What the documentation shows as an input item: a bare part of a message.
        return _message("user", _part(item, where)["text"])
    if not isinstance(kind, str) or kind not in _PREFIXES:
        raise ItemError(
            f"`{where}`: items of type {str(kind)[:64]!r} cannot be passed to a model here.", param=f"{where}.type"
        )
    for name in _REQUIRED.get(kind, ()):
        if not isinstance(item.get(name), str):
            raise ItemError(f"`{where}.{name}` is missing, or is not a text.", param=f"{where}.{name}")
    if kind == "message":
        _check_message(item, where)
    if kind == "function_call_output":
        item["output"] = _output(item.get("output"), where)
    if kind == "mcp_approval_response" and not isinstance(item.get("approve"), bool):
        raise ItemError(f"`{where}.approve` must be true or false.", param=f"{where}.approve")
    given_id = item.get("id")
    return {**item, "type": kind, "id": given_id if isinstance(given_id, str) and given_id else item_id(kind)}


def _message(role: str, text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "id": item_id("message"), "role": role, "status": "completed", "content": content}


def _check_message(item: dict[str, Any], where: str) -> None:
    if item.get("role") not in ROLES:
        raise ItemError(f"`{where}.role` must be one of {', '.join(sorted(ROLES))}.", param=f"{where}.role")
    content = item.get("content")
    kind = "output_text" if item["role"] == "assistant" else "input_text"
    if isinstance(content, str):
        item["content"] = [{"type": kind, "text": content}]
        item.setdefault("status", "completed")
        return
    if not isinstance(content, list):
        raise ItemError(f"`{where}.content` must be a text or a list of parts.", param=f"{where}.content")
    parts = cast("list[Any]", content)
    item["content"] = [_part(part, f"{where}.content[{index}]") for index, part in enumerate(parts)]
    item.setdefault("status", "completed")


def _part(value: Any, where: str) -> dict[str, Any]:
    part = dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}
    kind = part.get("type")
    if kind in _TEXT_PARTS and isinstance(part.get("text"), str):
        return part
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return part
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return part
    raise ItemError(
        f"`{where}`: a part must be a text or an image by URL; {str(kind)[:64]!r} is neither, or is incomplete.",
        param=where,
    )


def _output(value: Any, where: str) -> str:
    """What a client's function gave: a text, or parts of text, which become one."""
    if isinstance(value, str):
        return value
    parts = cast("list[Any]", value) if isinstance(value, list) else [None]
    texts = [_part(part, f"{where}.output[{index}]").get("text") for index, part in enumerate(parts)]
    if not all(isinstance(text, str) for text in texts):
        raise ItemError(f"`{where}.output` must be text.", param=f"{where}.output")
    return "\n".join(cast("list[str]", texts))
