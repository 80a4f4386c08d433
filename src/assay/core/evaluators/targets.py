"""When a trace or a session is taken to be complete (P§3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.core.evaluators.errors import DefinitionError
from assay.core.evaluators.types import TargetKind

FIXED_WINDOW = "fixed_window"
INACTIVITY = "inactivity"


@dataclass(frozen=True, slots=True)
class _Field:
    """A number of seconds."""

    lowest: int
    highest: int
    default: int


_STRATEGIES: dict[TargetKind, dict[str, dict[str, _Field]]] = {
    TargetKind.TRACE: {
        FIXED_WINDOW: {"window_seconds": _Field(10, 7200, 1800)},
        INACTIVITY: {
            "quiet_period_seconds": _Field(10, 1800, 300),
            "max_age_seconds": _Field(60, 7200, 7200),
        },
    },
    TargetKind.SESSION: {
        # The contract states neither a lower bound nor a default for a session's window.
        FIXED_WINDOW: {"window_seconds": _Field(10, 604_800, 86_400)},
        INACTIVITY: {
            "quiet_period_seconds": _Field(10, 86_400, 3600),
            "max_age_seconds": _Field(10, 604_800, 86_400),
        },
    },
}
_DEFAULT_STRATEGY = {TargetKind.TRACE: FIXED_WINDOW, TargetKind.SESSION: INACTIVITY}


def normalize_target(target: TargetKind, config: Mapping[str, Any]) -> dict[str, Any]:
    """A target's configuration with every key of its strategy; empty for a generation, whatever was given.

    Raises:
        DefinitionError: At ``target_config``.
    """
    if target is TargetKind.GENERATION:
        return {}
    strategies = _STRATEGIES[target]
    strategy = config.get("strategy", _DEFAULT_STRATEGY[target])
    if not isinstance(strategy, str) or strategy not in strategies:
        raise _fault(f"`strategy` must be `{FIXED_WINDOW}` or `{INACTIVITY}`.")
    fields = strategies[strategy]
    unknown = sorted(config.keys() - fields.keys() - {"strategy"})
    if unknown:
        raise _fault(f"`{unknown[0][:64]}` is no field of `{strategy}`; it has {', '.join(fields)}.")
    seconds = {name: _seconds(config.get(name, field.default), name, field) for name, field in fields.items()}
    if strategy == INACTIVITY and seconds["max_age_seconds"] < seconds["quiet_period_seconds"]:
        raise _fault("`max_age_seconds` must not be below `quiet_period_seconds`.")
    return {"strategy": strategy, **seconds}


def _seconds(value: Any, name: str, field: _Field) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not field.lowest <= value <= field.highest:
        raise _fault(f"`{name}` must be a whole number from {field.lowest} to {field.highest}.")
    return value


def _fault(message: str) -> DefinitionError:
    return DefinitionError("target_config", message)
