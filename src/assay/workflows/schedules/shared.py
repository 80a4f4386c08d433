"""Names and messages of the ``schedule_fire`` workflow."""

from __future__ import annotations

from dataclasses import dataclass

WORKFLOW = "schedule_fire"
SETTLE = "schedule_fire.settle"
SCHEDULED_AT = "TemporalScheduledStartTime"
"""The search attribute in which Temporal gives a workflow the instant it was meant for."""


@dataclass(frozen=True)
class FireInput:
    """Which schedule has been struck; the same for all its fires."""

    schedule_id: str
    kind: str = "eval_schedule"
    """Whose schedule it is; see ``kinds``."""


@dataclass(frozen=True)
class SettleInput:
    """Which schedule is to be settled, and the instant for which the clock struck (ISO 8601)."""

    schedule_id: str
    scheduled_at: str
    kind: str = "eval_schedule"


@dataclass(frozen=True)
class SettleReport:
    """What it came to, for whoever reads the workflow's history."""

    outcome: str
    """As recorded; ``none`` when nothing was due."""
    run_id: str | None = None
