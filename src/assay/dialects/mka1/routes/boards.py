"""Boards and token measurement (M§2.1, rows 11 to 13)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from assay.core.boards.agents import MAX_BOARD_ROWS, AgentRow, get_agent_board
from assay.core.boards.runs import BoardQuery, list_board_runs
from assay.core.runs.measurement import measure_tokens
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.identifiers import Prefix, read_id, write_id
from assay.dialects.mka1.query import SuiteVersionFilter
from assay.dialects.mka1.route import EvalsReader, EvalsWriter, Session, mka1_router
from assay.dialects.mka1.routes.runs import MetricName
from assay.dialects.mka1.wire.boards import (
    MeasureTokens,
    WireAccuracyInterval,
    WireAgentBoard,
    WireAgentRow,
    WireBoardRuns,
    WirePlacing,
    WireTokenMeasurement,
)

router = mka1_router("/api/v1/llm/evals", tag="boards")

PerGroup = Annotated[int, Query(ge=1, le=50)]
BoardLimit = Annotated[int, Query(ge=1, le=MAX_BOARD_ROWS)]
NameFilter = Annotated[str | None, Query(min_length=1, max_length=255)]


@router.get("/suites/{suite_id}/leaderboard-runs")
async def list_suite_leaderboard_runs(
    suite_id: str,
    caller: EvalsReader,
    session: Session,
    suite_version: SuiteVersionFilter = None,
    per_group: PerGroup = 5,
    model: NameFilter = None,
    cursor: str | None = None,
) -> WireBoardRuns:
    """The newest completed runs of each model and task, for clients to build boards of."""
    query = BoardQuery(
        suite_id=read_id(Prefix.SUITE, suite_id, param="suite_id"),
        suite_version=suite_version,
        model=model,
        per_group=per_group,
    )
    board = await list_board_runs(session, caller, query, cursor=cursor)
    return WireBoardRuns(
        object="eval.leaderboard_runs",
        data=[mapping.to_run(run) for run in board.runs],
        groups=[
            WirePlacing(
                model=place.model, task_id=place.task_id, rank=place.rank, run_id=write_id(Prefix.RUN, place.run_id)
            )
            for place in board.placings
        ],
        truncated=board.next_cursor is not None,
        next_cursor=board.next_cursor,
    )


@router.get("/suites/{suite_id}/leaderboard")
async def get_suite_leaderboard(
    suite_id: str,
    caller: EvalsReader,
    session: Session,
    suite_version: SuiteVersionFilter = None,
    metric: MetricName = "reward",
    agent: NameFilter = None,
    model: NameFilter = None,
    limit: BoardLimit = 100,
) -> WireAgentBoard:
    """Coding agents, best first."""
    board = await get_agent_board(
        session,
        caller,
        suite_id=read_id(Prefix.SUITE, suite_id, param="suite_id"),
        metric=metric,
        suite_version=suite_version,
        agent=agent,
        model=model,
        limit=limit,
    )
    return WireAgentBoard(
        object="eval.leaderboard",
        suite_id=suite_id,
        suite_version=board.suite_version,
        metric=board.metric,
        data=[_to_row(row) for row in board.rows],
    )


@router.post("/suites/{suite_id}/tokens/measure")
async def measure_suite_tokens(
    suite_id: str, body: MeasureTokens, caller: EvalsWriter, session: Session
) -> WireTokenMeasurement:
    """Count the tokens of stored answers that have no figure."""
    measured = await measure_tokens(
        session, caller, suite_id=read_id(Prefix.SUITE, suite_id, param="suite_id"), limit=body.limit
    )
    return WireTokenMeasurement(
        object="eval.suite.token_measurement",
        suite_id=suite_id,
        measured_runs=measured.runs,
        measured_samples=measured.samples,
        remaining_runs=measured.remaining_runs,
    )


def _to_row(row: AgentRow) -> WireAgentRow:
    interval = row.interval
    return WireAgentRow(
        agent_name=row.agent_name,
        agent_version=row.agent_version,
        agent_effort=row.agent_effort,
        model=row.model,
        accuracy=row.accuracy,
        accuracy_ci=None
        if interval is None
        else WireAccuracyInterval(low=interval.low, high=interval.high, margin=interval.margin),
        trials=row.trials,
        scored_trials=row.scored_trials,
        failed_trials=row.failed_trials,
        solved_trials=row.solved_trials,
        cost_usd=mapping.dollars(row.cost_usd),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=row.cached_tokens,
        steps=row.steps,
        agent_seconds=row.agent_seconds,
        timed_trials=row.timed_trials,
        run_count=len(row.run_ids),
        run_ids=[write_id(Prefix.RUN, run_id) for run_id in row.run_ids],
        last_run_at=mapping.unix(row.last_run_at),
    )
