"""The payload of a webhook in this dialect (M§7 R34)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from assay.core.runs.snapshots import read_snapshot
from assay.core.webhooks.types import Event, event_id
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.identifiers import Prefix, write_id
from assay.kit import json

MAX_PAYLOAD_BYTES = 256 * 1024


def render_event(event: Event) -> bytes:
    """The event with the Run object as it was at the transition.

    A payload is at most 256 KB. Where a run's metrics are larger, the figures by task are left out, then all of them;
    ``data.shortened`` then is true, and the whole run is there for the asking.
    """
    run = mapping.to_run(read_snapshot(event.snapshot)).model_dump(mode="json")
    payload = b""
    for candidate, shortened in _shorter_and_shorter(run):
        data = {"schedule_id": write_id(Prefix.SCHEDULE, event.owner_id), "run": candidate}
        payload = json.dumps(
            {
                "id": event_id(event.id),
                "object": "event",
                "type": event.type,
                "created_at": mapping.unix(event.created_at),
                "data": {**data, "shortened": True} if shortened else data,
            }
        ).encode()
        if len(payload) <= MAX_PAYLOAD_BYTES:
            break
    return payload


def _shorter_and_shorter(run: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    yield run, False
    metrics: dict[str, Any] = run["metrics"] or {}
    yield {**run, "metrics": {name: part for name, part in metrics.items() if name != "by_task"}}, True
    yield {**run, "metrics": None}, True
    yield {**run, "metrics": None, "error": None, "generation": {}}, True
