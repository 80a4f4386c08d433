"""SQL of imports: samples written as they came, and a run's sums taken from them anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.imports.types import Trial
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.runs.models import RunRow
from assay.core.runs.writable import encode
from assay.kit.ids import new_id

WRITE_BATCH = 500


async def lock_import_key(session: AsyncSession, key: bytes) -> None:
    """Let imports with the same key wait for each other until the end of the transaction."""
    query = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 1))")
    await session.execute(query, {"key": key.hex()})


async def find_import(session: AsyncSession, principal: Principal, *, suite_id: UUID, key: bytes) -> RunRow | None:
    """The run that was imported into a suite under a key."""
    query = select(RunRow).where(RunRow.suite_id == suite_id, RunRow.import_key == key, visible_to(principal, RunRow))
    return await session.scalar(query)


async def write_trials(
    session: AsyncSession,
    run_id: UUID,
    trials: Sequence[tuple[Trial, Mapping[str, Any]]],
    *,
    task_order: Sequence[str],
    now: datetime,
) -> None:
    """Insert or replace samples of a run's only model; a replaced sample keeps its id.

    Args:
        session: In a transaction that holds the run's row.
        run_id: Whose samples.
        trials: Each with the columns that were worked out from it.
        task_order: Ids of the run's tasks.
        now: When.
    """
    task_nos = {task_id: number for number, task_id in enumerate(task_order)}
    rows = sorted(
        (_row(trial, columns, task_nos[trial.task_id]) for trial, columns in trials),
        key=lambda row: (row["task_no"], row["sample_index"]),
    )
    for start in range(0, len(rows), WRITE_BATCH):
        values = {"run_id": run_id, "now": now, "rows": encode(rows[start : start + WRITE_BATCH])}
        await session.execute(_WRITE_ITEMS, values)
        await session.execute(_WRITE_SAMPLES, values)


def _row(trial: Trial, columns: Mapping[str, Any], task_no: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "task_no": task_no,
        "sample_index": trial.sample_index,
        "status": trial.status.value,
        "dataset_row": dict(trial.dataset_row),
        "prompt": trial.prompt,
        "target": trial.target,
        "output_text": trial.output_text,
        "extracted_output": trial.extracted_output,
        "scores": dict(trial.scores),
        "error": None if trial.error is None else dict(trial.error),
        "cost_usd": None if trial.cost_usd is None else str(trial.cost_usd),
        "phase_timings": None if trial.phase_timings is None else dict(trial.phase_timings),
        **columns,
    }


_WRITE_ITEMS = text("""
    INSERT INTO run_items (run_id, task_no, sample_index, dataset_row, prompt, target)
    SELECT :run_id, task_no, sample_index, dataset_row, prompt, target
    FROM json_to_recordset(CAST(:rows AS json))
        AS r (task_no smallint, sample_index integer, dataset_row jsonb, prompt text, target text)
    ON CONFLICT (run_id, task_no, sample_index) DO UPDATE
    SET dataset_row = excluded.dataset_row, prompt = excluded.prompt, target = excluded.target
""")

_SAMPLE_COLUMNS = {
    "status": "text",
    "output_text": "text",
    "extracted_output": "text",
    "scores": "jsonb",
    "error": "jsonb",
    "cost_usd": "numeric",
    "input_tokens": "integer",
    "output_tokens": "integer",
    "cached_tokens": "integer",
    "reasoning_tokens": "integer",
    "tokens_estimated": "boolean",
    "phase_timings": "jsonb",
    "agent_seconds": "double precision",
}
_NAMES = ", ".join(_SAMPLE_COLUMNS)
_DECLARED = ", ".join(f"{name} {sql_type}" for name, sql_type in _SAMPLE_COLUMNS.items())
_REPLACED = ", ".join(f"{name} = excluded.{name}" for name in _SAMPLE_COLUMNS)
# Column names of this module, no text of a user.
_WRITE_SAMPLES = text(f"""
    INSERT INTO run_samples (run_id, task_no, model_no, sample_index, id, created_at, completed_at, {_NAMES})
    SELECT :run_id, task_no, 0, sample_index, id, :now, :now, {_NAMES}
    FROM json_to_recordset(CAST(:rows AS json))
        AS r (task_no smallint, sample_index integer, id uuid, {_DECLARED})
    ON CONFLICT (run_id, task_no, model_no, sample_index, repeat_no) DO UPDATE
    SET completed_at = excluded.completed_at, {_REPLACED}
""")


class Sums(NamedTuple):
    """What the samples of a run add up to."""

    total: int
    completed: int
    failed: int
    cost_usd: Decimal | None
    input: int | None
    output: int | None
    cached: int | None
    reasoning: int | None
    task_nos: list[int]
    """Tasks that have samples, in order."""


async def sum_samples(session: AsyncSession, run_id: UUID) -> Sums:
    """Add up the samples of a run."""
    return Sums(*(await session.execute(_SUMS, {"run_id": run_id})).one())


_SUMS = text("""
    SELECT count(*), count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
           sum(cost_usd), sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(reasoning_tokens),
           coalesce(array_agg(DISTINCT task_no ORDER BY task_no), '{}')
    FROM run_samples WHERE run_id = :run_id
""")
