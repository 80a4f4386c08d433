"""The events of a response, derived from it and from its items.

Nothing of them is stored, so a stream that is replayed is the one that was seen, and what has happened cannot differ
from what was told. Numbers count from 0 without gaps, because items are only ever appended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DELTAS = frozenset({"response.output_text.delta", "response.function_call_arguments.delta"})

Event = dict[str, Any]


def item_events(item: Mapping[str, Any], output_index: int) -> Iterator[Event]:
    """The events that tell of one output item, without their numbers."""
    place = {"item_id": item["id"], "output_index": output_index}
    yield _event("response.output_item.added", output_index=output_index, item=_begun(item))
    match item["type"]:
        case "message":
            for index, part in enumerate(item["content"]):
                yield from _part_events(part, {**place, "content_index": index})
        case "function_call":
            yield _event("response.function_call_arguments.delta", **place, delta=item["arguments"])
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield _event("response.function_call_arguments.done", **place, **done)
        case "mcp_call":
            yield _event("response.mcp_call.in_progress", **place)
            yield _event("response.mcp_call_arguments.done", **place, arguments=item["arguments"])
            yield _event("response.mcp_call.failed" if item.get("error") else "response.mcp_call.completed", **place)
        case "mcp_list_tools":
            yield _event("response.mcp_list_tools.in_progress", **place)
            ended = "failed" if item.get("error") else "completed"
            yield _event(f"response.mcp_list_tools.{ended}", **place)
        case _:
            pass
    yield _event("response.output_item.done", output_index=output_index, item=dict(item))


def _part_events(part: Mapping[str, Any], place: Mapping[str, Any]) -> Iterator[Event]:
    empty = {**part, "text": ""}
    yield _event("response.content_part.added", **place, part=empty)
    yield _event("response.output_text.delta", **place, delta=part["text"], logprobs=[])
    yield _event("response.output_text.done", **place, text=part["text"], logprobs=[])
    yield _event("response.content_part.done", **place, part=dict(part))


def _begun(item: Mapping[str, Any]) -> dict[str, Any]:
    match item["type"]:
        case "message":
            return {**item, "status": "in_progress", "content": []}
        case "function_call":
            return {**item, "status": "in_progress", "arguments": ""}
        case "mcp_call":
            return {**item, "output": None, "error": None}
        case _:
            return dict(item)


def first_events(snapshot: Mapping[str, Any]) -> list[Event]:
    """What a stream begins with: the response before anything has happened."""
    empty: Event = {
        **snapshot,
        "output": [],
        "output_text": "",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
    }
    return [
        _event("response.created", response={**empty, "status": "queued"}),
        _event("response.in_progress", response={**empty, "status": "in_progress"}),
    ]


def last_event(snapshot: Mapping[str, Any]) -> Event:
    """What a stream ends with."""
    return _event(f"response.{snapshot['status']}", response=dict(snapshot))


def number(events: Sequence[Event], start: int) -> list[Event]:
    """Events with their numbers."""
    return [{**event, "sequence_number": start + index} for index, event in enumerate(events)]


def _event(kind: str, **fields: Any) -> Event:
    return {"type": kind, **fields}
