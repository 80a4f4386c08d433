"""How a schedule's runs are to be carried out: JSON as it was sent, read as ``RunConfig`` when it fires.

It is kept as sent because unknown keys come back in responses (M§2.14), and because models are resolved at each fire:
one that is not configured yet, or no longer, is that fire's failure and not the schedule's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from assay.core.runs.types import RunConfig

_FIELDS = frozenset(field.name for field in fields(RunConfig))


def to_run_config(stored: Mapping[str, Any]) -> RunConfig:
    """The parts that mean something.

    Args:
        stored: At least ``models``; values as ``RunConfig`` has them.
    """
    return RunConfig(**{name: value for name, value in stored.items() if name in _FIELDS and value is not None})
