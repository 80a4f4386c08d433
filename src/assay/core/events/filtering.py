"""Filters of lists of events (P§3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from assay.core.events.types import StoredEvent
from assay.kit.clock import utc_now
from assay.scoring.online import PropertyFilter
from assay.scoring.online.operators import FilterError, holds


def matches(event: StoredEvent, filters: Sequence[PropertyFilter], person: Mapping[str, Any] | None) -> bool:
    """Whether all filters hold; one that cannot be evaluated does not."""
    now = utc_now()
    return all(_matches(item, event, person or {}, now) for item in filters)


def _matches(item: PropertyFilter, event: StoredEvent, person: Mapping[str, Any], now: datetime) -> bool:
    sources = {"event": event.properties, "person": person}
    if item.type not in sources:
        return False
    try:
        return holds(item.operator, sources[item.type].get(item.key), item.value, now)
    except FilterError:
        return False
