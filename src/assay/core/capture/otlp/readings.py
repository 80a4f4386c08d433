"""What a convention's attributes say of a span."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.core.events.types import SPAN

Table = Mapping[str, Sequence[str]]
"""By property, the attributes that say it, in order of preference."""


@dataclass(slots=True)
class Reading:
    """A span in the words of AI events."""

    event: str = SPAN
    """Generation, embedding, or any other step."""
    input: Any = None
    output: Any = None
    properties: dict[str, Any] = field(default_factory=dict[str, Any])


def look_up(attributes: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """The properties that are said."""
    found = {name: first(attributes, sources) for name, sources in table.items()}
    return {name: value for name, value in found.items() if value is not None}


def first(attributes: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of the attributes that is there; None without any."""
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)
