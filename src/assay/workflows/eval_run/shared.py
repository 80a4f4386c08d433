"""Names and messages of the ``eval_run`` workflow: ids and counters only, never contents."""

from __future__ import annotations

from dataclasses import dataclass, field

WORKFLOW = "eval_run"
PREPARE = "eval_run.prepare"
EXECUTE = "eval_run.execute"
SCORE_GROUP = "eval_run.score_group"
FINISH = "eval_run.finish"
FAIL = "eval_run.fail"
CANCEL = "eval_run.cancel"

STOPPED = "run_stopped"
"""Type of the error by which an activity says that the run was cancelled or deleted meanwhile."""

DEFAULT_ACTIVITIES_PER_EXECUTION = 500
"""Sample activities of one workflow execution before it continues as new, unless the run says otherwise."""


@dataclass(frozen=True)
class ScoreGroup:
    """The samples of one task and model that are scored together."""

    task_no: int
    model_no: int


@dataclass(frozen=True)
class Prepared:
    """What there is to do."""

    lanes: int
    score_groups: list[ScoreGroup] = field(default_factory=list[ScoreGroup])


@dataclass(frozen=True)
class EvalRunInput:
    """Which run, and how far it is when the workflow continues as new."""

    run_id: str
    execution: int
    max_sample_activities: int | None = None
    prepared: Prepared | None = None


@dataclass(frozen=True)
class RunRef:
    """Names a run's execution."""

    run_id: str
    execution: int


@dataclass(frozen=True)
class LaneInput:
    """One of the run's lanes of work."""

    run_id: str
    execution: int
    lane: int
    lanes: int


@dataclass(frozen=True)
class LaneReport:
    """What a lane did before it returned."""

    processed: int
    outstanding: bool
    """Whether chunks were left when it returned, so that it must go on."""
    stopped: bool
    """Whether the run was found to be cancelling."""


@dataclass(frozen=True)
class ScoreGroupInput:
    """One group to score."""

    run_id: str
    execution: int
    group: ScoreGroup


@dataclass(frozen=True)
class FailInput:
    """Why a run failed."""

    run_id: str
    execution: int
    code: str
    message: str
    """For a run that has noted no better reason; holds no data."""
