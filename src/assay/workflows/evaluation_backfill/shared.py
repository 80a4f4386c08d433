"""Names and messages of the ``evaluation_backfill`` workflow: ids and seconds only."""

from __future__ import annotations

from dataclasses import dataclass

WORKFLOW = "evaluation_backfill"
ADVANCE = "evaluation_backfill.advance"


@dataclass(frozen=True)
class BackfillInput:
    """Which backfill."""

    backfill_id: str
    max_steps: int = 200
    """Activities of one workflow execution before it continues as new."""


@dataclass(frozen=True)
class BackfillReport:
    """What is left."""

    wait_seconds: float | None
    """Before the next step; None when the backfill has ended."""
