"""The leaderboard of coding agents (M§2.9).

A row is (agent, model, effort) over the completed runs of a suite. Means rest on the trials that have a number for the
metric; what nobody reported is null, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.boards.selection import completed_runs
from assay.core.projects.types import Principal

MAX_BOARD_ROWS = 500
_Z_95 = 1.96


@dataclass(frozen=True, slots=True)
class AccuracyInterval:
    """A 95 % Wald interval, its ends within [0, 1]; right only for metrics that are 0 or 1."""

    low: float
    high: float
    margin: float


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent with one model at one effort."""

    agent_name: str
    agent_version: str | None
    """Of the newest run."""
    agent_effort: str | None
    model: str
    accuracy: float | None
    trials: int
    scored_trials: int
    failed_trials: int
    solved_trials: int
    cost_usd: Decimal | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    steps: int | None
    """Over trials with a trajectory."""
    agent_seconds: float | None
    """Over ``timed_trials``."""
    timed_trials: int
    run_ids: Sequence[UUID]
    """Most trials first, then newest first."""
    last_run_at: datetime

    @property
    def interval(self) -> AccuracyInterval | None:
        """How far ``accuracy`` may be off."""
        return None if self.accuracy is None else wald_interval(self.accuracy, self.scored_trials)


@dataclass(frozen=True, slots=True)
class AgentBoard:
    """The rows of a suite, best first."""

    suite_id: UUID
    suite_version: int | None
    """None when all versions are mixed."""
    metric: str
    rows: Sequence[AgentRow]


def wald_interval(share: float, count: int) -> AccuracyInterval:
    """P ± 1.96·√(p(1−p)/n), cut to [0, 1] (M§2.9).

    A mean outside [0, 1] is no share of solved trials, so its margin is 0.

    Args:
        share: p, the mean.
        count: n, at least 1.
    """
    margin = _Z_95 * math.sqrt(max(0.0, share * (1 - share)) / count)
    low, high = (min(1.0, max(0.0, end)) for end in (share - margin, share + margin))
    return AccuracyInterval(low, high, margin)


async def get_agent_board(
    session: AsyncSession,
    principal: Principal,
    *,
    suite_id: UUID,
    metric: str,
    suite_version: int | None = None,
    agent: str | None = None,
    model: str | None = None,
    limit: int = 100,
) -> AgentBoard:
    """The leaderboard of a suite's coding agents.

    Raises:
        SuiteNotFoundError, SuiteVersionNotFoundError: Not visible to the caller.
    """
    run_ids = await completed_runs(session, principal, suite_id=suite_id, suite_version=suite_version)
    values = {"run_ids": run_ids, "metric": metric, "agent": agent, "model": model, "limit": limit}
    found = await session.execute(_BOARD, values)
    return AgentBoard(suite_id, suite_version, metric, [_to_row(row) for row in found])


# One pass over the samples by run, then over the runs by row.
_BOARD = text("""
    WITH board AS MATERIALIZED (
        SELECT id, agent_name, agent_version, agent_effort, models->>0 AS model, cost_usd, created_at
        FROM runs
        WHERE id = ANY (:run_ids) AND agent_name IS NOT NULL
          AND (CAST(:agent AS text) IS NULL OR agent_name = :agent)
          AND (CAST(:model AS text) IS NULL OR models->>0 = :model)
    ), trials AS (
        SELECT s.run_id, s.status, s.cost_usd, s.input_tokens, s.output_tokens, s.cached_tokens, s.agent_seconds,
               CASE WHEN jsonb_typeof(s.scores->:metric) = 'number'
                    THEN CAST(s.scores->:metric AS double precision) END AS value
        FROM run_samples s JOIN board ON board.id = s.run_id
    ), by_run AS (
        SELECT run_id, count(*) AS trials, count(value) AS scored, sum(value) AS total,
               count(*) FILTER (WHERE value = 1) AS solved, count(*) FILTER (WHERE status = 'failed') AS failed,
               sum(cost_usd) AS cost_usd, sum(input_tokens) AS input, sum(output_tokens) AS output,
               sum(cached_tokens) AS cached, sum(agent_seconds) AS seconds, count(agent_seconds) AS timed
        FROM trials GROUP BY run_id
    ), sessions AS (
        SELECT t.run_id, sum(t.step_count) AS steps
        FROM run_trajectories t JOIN board ON board.id = t.run_id GROUP BY t.run_id
    ), rows AS (
        SELECT agent_name, model, agent_effort,
               (array_agg(agent_version ORDER BY created_at DESC, id DESC))[1] AS agent_version,
               coalesce(sum(trials), 0) AS trials, coalesce(sum(scored), 0) AS scored,
               sum(total) / nullif(sum(scored), 0) AS accuracy,
               coalesce(sum(solved), 0) AS solved, coalesce(sum(failed), 0) AS failed,
               sum(coalesce(by_run.cost_usd, board.cost_usd)) AS cost_usd,
               sum(input) AS input, sum(output) AS output, sum(cached) AS cached, sum(steps) AS steps,
               sum(seconds) AS seconds, coalesce(sum(timed), 0) AS timed,
               array_agg(id ORDER BY coalesce(trials, 0) DESC, created_at DESC, id DESC) AS run_ids,
               max(created_at) AS last_run_at
        FROM board
        LEFT JOIN by_run ON by_run.run_id = board.id
        LEFT JOIN sessions ON sessions.run_id = board.id
        GROUP BY agent_name, model, agent_effort
    )
    SELECT * FROM rows
    ORDER BY accuracy DESC NULLS LAST, agent_name COLLATE "C", model COLLATE "C", agent_effort COLLATE "C" NULLS FIRST
    LIMIT :limit
""")


def _to_row(row: Row[Any]) -> AgentRow:
    return AgentRow(
        agent_name=row.agent_name,
        agent_version=row.agent_version,
        agent_effort=row.agent_effort,
        model=row.model,
        accuracy=row.accuracy,
        trials=int(row.trials),
        scored_trials=int(row.scored),
        failed_trials=int(row.failed),
        solved_trials=int(row.solved),
        cost_usd=row.cost_usd,
        input_tokens=_whole(row.input),
        output_tokens=_whole(row.output),
        cached_tokens=_whole(row.cached),
        steps=_whole(row.steps),
        agent_seconds=row.seconds,
        timed_trials=int(row.timed),
        run_ids=[UUID(int=run_id.int) for run_id in row.run_ids],
        last_run_at=row.last_run_at,
    )


def _whole(count: Decimal | None) -> int | None:
    # Sums of sums are decimals to PostgreSQL.
    return None if count is None else int(count)
