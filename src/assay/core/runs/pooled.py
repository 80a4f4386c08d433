"""Metrics made of the counts of all samples of a task and model, such as corpus BLEU; see ``scoring.pooling``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from assay.scoring.aggregation import Aggregate
from assay.scoring.pooling import POOLED, pool

BATCH_SAMPLES = 10_000

Group = tuple[int, int]
"""Ordinals of task and model."""


async def pool_groups(
    session: AsyncSession, run_id: UUID, kinds_by_task: Mapping[int, Sequence[str]]
) -> dict[Group, dict[str, Aggregate]]:
    """The pooled metrics of each task and model.

    Args:
        session: Where the samples are.
        run_id: Whose.
        kinds_by_task: Kinds of counts, by the task's ordinal.
    """
    pooled: dict[Group, dict[str, Aggregate]] = {}
    for task_no, kinds in kinds_by_task.items():
        counts = await session.execute(_COMPLETED, {"run_id": run_id, "task_no": task_no})
        completed = {row.model_no: row.completed for row in counts}
        for model_no, samples in completed.items():
            for kind in kinds:
                found = await _load(session, run_id, task_no=task_no, model_no=model_no, kind=kind)
                aggregate = await asyncio.to_thread(pool, kind, found, unscored=samples - len(found))
                pooled.setdefault((task_no, model_no), {})[POOLED[kind].id] = aggregate
    return pooled


async def _load(session: AsyncSession, run_id: UUID, *, task_no: int, model_no: int, kind: str) -> Any:
    """Counts of all samples that have them, shape (samples, width)."""
    values = {"run_id": run_id, "task_no": task_no, "model_no": model_no, "kind": kind}
    width = POOLED[kind].width
    parts = [np.empty((0, width), dtype=np.int64)]
    rows = await session.stream(_COUNTS, values)
    async for batch in rows.scalars().partitions(BATCH_SAMPLES):
        parts.append(np.array([counts for counts in batch if len(counts) == width], dtype=np.int64).reshape(-1, width))
    return np.concatenate(parts)


_COMPLETED = text("""
    SELECT model_no, count(*) AS completed FROM run_samples
    WHERE run_id = :run_id AND task_no = :task_no AND status = 'completed' GROUP BY model_no
""")
_COUNTS = text("""
    SELECT judge->'statistics'->CAST(:kind AS text) AS counts FROM run_samples
    WHERE run_id = :run_id AND task_no = :task_no AND model_no = :model_no AND status = 'completed'
      AND jsonb_typeof(judge->'statistics'->CAST(:kind AS text)) = 'array'
    ORDER BY sample_index
""").columns(counts=JSONB)
