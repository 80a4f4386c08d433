"""Counting tokens of answers that nobody counted when they came (M§2.10).

Only a run's stored texts are looked at: prompt, answer and reasoning, by one ruler for all models. New answers are
counted when they are stored, so this is for what was there before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.runs import repository
from assay.core.runs.metrics import MeasuredRun, MeasuredTask, refresh_tokens
from assay.core.runs.models import UNMEASURED, RunRow, SampleRow
from assay.core.runs.types import RunStatus
from assay.core.runs.writable import encode
from assay.core.suites.service import get_suite_version
from assay.gateway.tokens import count_tokens

BATCH_SAMPLES = 200
PATIENCE_SECONDS = 3.0
"""After this long a call ends, though a run be half measured; the next goes on. Clients give up after 5 s (M§1.8)."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a call measured, and how many runs still have something to measure."""

    suite_id: UUID
    runs: int
    samples: int
    remaining_runs: int


async def measure_tokens(
    session: AsyncSession,
    principal: Principal,
    *,
    suite_id: UUID,
    limit: int = 5,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Measurement:
    """Measure up to ``limit`` completed runs of a suite, oldest first.

    Raises:
        SuiteNotFoundError: Not the caller's own.
    """
    await get_suite_version(session, principal, suite_id=suite_id)
    deadline = asyncio.get_running_loop().time() + patience_seconds
    run_ids = await _find_runs(session, principal, suite_id)
    measured_runs = measured_samples = 0
    for run_id in run_ids[:limit]:
        row = await repository.lock_run(session, run_id)
        measured, done = await _measure_run(session, run_id, deadline)
        await _refresh(session, row)
        measured_samples += measured
        measured_runs += done
        if not done:
            break
    return Measurement(suite_id, measured_runs, measured_samples, len(run_ids) - measured_runs)


async def _find_runs(session: AsyncSession, principal: Principal, suite_id: UUID) -> list[UUID]:
    unmeasured = select(SampleRow.id).where(SampleRow.run_id == RunRow.id, text(UNMEASURED)).exists()
    query = select(RunRow.id).where(
        RunRow.suite_id == suite_id,
        RunRow.status == RunStatus.COMPLETED.value,
        visible_to(principal, RunRow),
        unmeasured,
    )
    return list(await session.scalars(query.order_by(RunRow.id)))


async def _measure_run(session: AsyncSession, run_id: UUID, deadline: float) -> tuple[int, bool]:
    """How many samples were measured, and whether that was all."""
    measured = 0
    while asyncio.get_running_loop().time() < deadline:
        found = (await session.execute(_LOAD_TEXTS, {"run_id": run_id, "limit": BATCH_SAMPLES})).all()
        if not found:
            return measured, True
        counted = await asyncio.to_thread(_count, found)
        await session.execute(_WRITE_COUNTS, {"run_id": run_id, "rows": encode(counted)})
        measured += len(found)
    return measured, False


def _count(samples: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    counted: list[dict[str, Any]] = []
    for sample in samples:
        thought = None if not sample.reasoning else count_tokens(sample.reasoning)
        counted.append(
            {
                "t": sample.task_no,
                "m": sample.model_no,
                "i": sample.sample_index,
                "n": sample.repeat_no,
                "input_tokens": count_tokens(sample.prompt),
                "output_tokens": count_tokens(sample.output_text or "") + (thought or 0),
                "reasoning_tokens": thought,
            }
        )
    return counted


async def _refresh(session: AsyncSession, row: RunRow) -> None:
    """Take the run's token sums, and those of its metrics, from its samples anew."""
    sums = (await session.execute(_SUMS, {"run_id": row.id})).one()
    row.input_tokens, row.output_tokens, row.cached_tokens, row.reasoning_tokens = sums
    if row.metrics is not None:
        tasks = [MeasuredTask(task_id, ()) for task_id in row.task_order]
        row.metrics = await refresh_tokens(session, MeasuredRun(row.id, row.models, tasks), row.metrics)
    await session.flush()


# Constants of this package, no text of a user.
_LOAD_TEXTS = text(f"""
    SELECT task_no, s.model_no, sample_index, s.repeat_no, i.prompt, s.output_text, s.reasoning
    FROM (SELECT * FROM run_samples WHERE run_id = :run_id AND {UNMEASURED} LIMIT :limit) AS s
    JOIN run_items i USING (run_id, task_no, sample_index)
""")
_SUMS = text("""
    SELECT sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(reasoning_tokens)
    FROM run_samples WHERE run_id = :run_id
""")
_WRITE_COUNTS = text("""
    UPDATE run_samples s
    SET input_tokens = r.input_tokens, output_tokens = r.output_tokens, reasoning_tokens = r.reasoning_tokens,
        tokens_estimated = true
    FROM json_to_recordset(CAST(:rows AS json)) AS r (
        t smallint, m smallint, i integer, n smallint,
        input_tokens integer, output_tokens integer, reasoning_tokens integer
    )
    WHERE s.run_id = :run_id AND s.task_no = r.t AND s.model_no = r.m AND s.sample_index = r.i
      AND s.repeat_no = r.n
""")
