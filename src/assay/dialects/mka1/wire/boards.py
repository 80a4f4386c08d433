"""Boards and token measurement (M§2.8-2.10)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.dialects.mka1.wire.base import RequestModel, ResponseModel, UnixSeconds
from assay.dialects.mka1.wire.runs import WireRun


class WirePlacing(ResponseModel):
    """A run's place within its group."""

    model: str
    task_id: str | None
    rank: int
    run_id: str


class WireBoardRuns(ResponseModel):
    """Runs of a board; build boards from ``groups``, since a run may name models and tasks that it has no place in."""

    object: Literal["eval.leaderboard_runs"]
    data: list[WireRun]
    groups: list[WirePlacing]
    truncated: bool
    next_cursor: str | None


class WireAccuracyInterval(ResponseModel):
    """A 95 % interval, right for metrics that are 0 or 1."""

    low: float
    high: float
    margin: float


class WireAgentRow(ResponseModel):
    """One agent with one model at one effort."""

    agent_name: str
    agent_version: str | None
    agent_effort: str | None
    model: str
    accuracy: float | None
    accuracy_ci: WireAccuracyInterval | None
    trials: int
    scored_trials: int
    failed_trials: int
    solved_trials: int
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    steps: int | None
    agent_seconds: float | None
    timed_trials: int
    run_count: int
    run_ids: list[str]
    last_run_at: UnixSeconds


class WireAgentBoard(ResponseModel):
    """Agents, best first."""

    object: Literal["eval.leaderboard"]
    suite_id: str
    suite_version: int | None
    metric: str
    data: list[WireAgentRow]


class MeasureTokens(RequestModel):
    """Body of ``POST …/tokens/measure``."""

    limit: Annotated[int, Field(ge=1, le=50)] = 5


class WireTokenMeasurement(ResponseModel):
    """What was measured, and how many runs are left."""

    object: Literal["eval.suite.token_measurement"]
    suite_id: str
    measured_runs: int
    measured_samples: int
    remaining_runs: int
