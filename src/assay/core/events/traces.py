"""Events of a trace as the tree that their parent ids draw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from assay.core.events.types import TRACE, StoredEvent, TraceNode

MAX_DEPTH = 200
"""Steps inside each other; deeper ones become children of the deepest."""


def build_tree(events: Sequence[StoredEvent]) -> tuple[TraceNode, ...]:
    """The roots with all that hangs below them.

    A step hangs below the event whose span id is its parent id, or below the ``$ai_trace`` event when that is the
    trace's id; the result of judging an event, below that event. What has no parent here is a root. Every event occurs
    exactly once: of a circle, the earliest is a root.

    Args:
        events: Of one trace, in the order in which siblings shall come.
    """
    parents = _parents(events)
    children: defaultdict[int | None, list[int]] = defaultdict(list)
    for index in range(len(events)):
        children[parents[index]].append(index)
    built: dict[int, TraceNode] = {}
    for index in reversed(_walk(children)):
        built[index] = TraceNode(events[index], tuple(built[child] for child in children[index]))
    return tuple(built[index] for index in children[None])


def _parents(events: Sequence[StoredEvent]) -> list[int | None]:
    places: dict[str, int] = {}
    for index, event in enumerate(events):
        for key in (event.span_id, event.trace_id if event.event == TRACE else None, str(event.uuid)):
            if key is not None:
                places.setdefault(key, index)
    parents = [places.get(_parent_key(event)) for event in events]
    depths: dict[int, int] = {}
    for index in range(len(events)):
        _settle(index, parents, depths)
    return parents


def _parent_key(event: StoredEvent) -> str:
    target = event.properties.get("$ai_target_event_id")
    return event.parent_id or (target if isinstance(target, str) else "")


def _settle(index: int, parents: list[int | None], depths: dict[int, int]) -> None:
    """Give an event and all above it their depths; cut circles, and bend what is too deep."""
    path: list[int] = []
    current: int | None = index
    while current is not None and current not in depths:
        if current in path:
            first = min(path[path.index(current) :])
            parents[first] = None
            return _settle(index, parents, depths)
        path.append(current)
        current = parents[current]
    for place in reversed(path):
        above = parents[place]
        if above is not None and depths[above] >= MAX_DEPTH:
            above = parents[place] = parents[above]
        depths[place] = 1 if above is None else depths[above] + 1
    return None


def _walk(children: dict[int | None, list[int]]) -> list[int]:
    """Every event after the one above it."""
    order = list(children[None])
    for index in order:
        order.extend(children.get(index, ()))
    return order
