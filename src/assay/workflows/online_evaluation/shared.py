"""Names and messages of the ``online_evaluation`` workflow: ids and seconds only, never an event or a verdict."""

from __future__ import annotations

from dataclasses import dataclass

WORKFLOW = "online_evaluation"
WAKE = "wake"
"""The workflow's one signal: something may be due."""
PROGRAMS = "programs"
JUDGES = "judges"
RUN_PROGRAMS = "online_evaluation.run_programs"
RUN_JUDGES = "online_evaluation.run_judges"
ACTIVITIES = {PROGRAMS: RUN_PROGRAMS, JUDGES: RUN_JUDGES}
"""By track. Programs are quick and judges are slow; on tracks of their own neither waits for the other."""


@dataclass(frozen=True)
class OnlineEvaluationInput:
    """Whose ledger, and which of its entries."""

    project_id: str
    track: str
    max_lanes: int = 4
    """Most lanes at a time."""
    max_steps: int = 300
    """Lanes of one workflow execution before it continues as new."""


@dataclass(frozen=True)
class LaneInput:
    """Whose ledger."""

    project_id: str


@dataclass(frozen=True)
class LaneReport:
    """What a lane left."""

    recorded: int
    due_seconds: float | None
    """Until the next entry is due; None when none is open."""


def activity_queue(task_queue: str, track: str) -> str:
    """The queue of a track's lanes: judges that take minutes must not hold the slots of programs."""
    return f"{task_queue}-online-{track}"
