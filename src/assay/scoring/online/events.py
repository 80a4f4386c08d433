"""A captured event, and where its input and output are (contract §3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GENERATION = "$ai_generation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A captured event."""

    uuid: str
    event: str
    """Its name."""
    distinct_id: str
    properties: Mapping[str, Any]
    timestamp: str | None = None
    """ISO 8601."""
    person_properties: Mapping[str, Any] | None = None
    """What was known of the person when the event arrived."""


def event_input(event: Event) -> Any:
    """The input of a generation or of another step; ``""`` when there is none."""
    if event.event == GENERATION:
        return _first(event, "$ai_input", "$ai_input_state")
    return _first(event, "$ai_input_state")


def event_output(event: Event) -> Any:
    """The output likewise."""
    if event.event == GENERATION:
        return _first(event, "$ai_output_choices", "$ai_output", "$ai_output_state")
    return _first(event, "$ai_output_state")


def _first(event: Event, *names: str) -> Any:
    return next((value for name in names if (value := event.properties.get(name))), "")
