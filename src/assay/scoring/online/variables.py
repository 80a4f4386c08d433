"""What a program sees of an event (contract §5.10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.scoring.online.events import Event, event_input, event_output
from assay.scoring.online.rendering import json_text, render

HEAVY_PROPERTIES = frozenset(
    ("$ai_input", "$ai_output", "$ai_output_choices", "$ai_input_state", "$ai_output_state", "$ai_tools")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """What is evaluated."""

    type: str
    """``generation``, ``trace`` or ``session``."""
    id: str
    total_cost_usd: float | None = None
    total_latency_seconds: float | None = None


def generation_variables(event: Event) -> dict[str, Any]:
    """The globals of an evaluation of one generation."""
    facts = TargetFacts(
        type="generation",
        id=event.uuid,
        total_cost_usd=_number(event.properties.get("$ai_total_cost_usd")),
        total_latency_seconds=_number(event.properties.get("$ai_latency")),
    )
    return {
        "input": _text(event_input(event)),
        "output": _text(event_output(event)),
        "properties": dict(event.properties),
        "event": {"uuid": event.uuid, "event": event.event, "distinct_id": event.distinct_id},
        "target": _target(facts),
        "evaluation_events": [_evaluation_event(event)],
    }


def target_variables(facts: TargetFacts, events: Sequence[Event]) -> dict[str, Any]:
    """The globals of an evaluation of a trace or a session.

    Args:
        facts: The unit.
        events: Its events in order of time.
    """
    variables: dict[str, Any] = {
        "target": _target(facts),
        "evaluation_events": [_evaluation_event(event) for event in events],
    }
    if facts.type == "trace":
        variables["trace"] = {"id": facts.id, "event_count": len(events)}
        variables["events"] = [_plain_event(event) for event in events]
    return variables


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    """Text as it is, collections as JSON, anything else as Python writes it."""
    if isinstance(value, str):
        return value
    return json_text(value) if isinstance(value, list | dict) else str(value)


def _target(facts: TargetFacts) -> dict[str, Any]:
    return {
        "type": facts.type,
        "id": facts.id,
        "total_cost_usd": facts.total_cost_usd,
        "total_latency_seconds": facts.total_latency_seconds,
    }


def _plain_event(event: Event) -> dict[str, Any]:
    return {
        "uuid": event.uuid,
        "event": event.event,
        "timestamp": event.timestamp,
        "input": event_input(event),
        "output": event_output(event),
        "properties": {name: value for name, value in event.properties.items() if name not in HEAVY_PROPERTIES},
    }


def _evaluation_event(event: Event) -> dict[str, Any]:
    plain = _plain_event(event)
    return {**plain, "input_text": render(plain["input"]), "output_text": render(plain["output"])}
