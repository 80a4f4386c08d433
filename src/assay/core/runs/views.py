"""What people look at in a run besides its samples: why samples failed, how scores spread, one sample by its id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.runs import repository, service
from assay.core.runs.errors import SampleNotFoundError
from assay.core.runs.types import Sample, SampleFilter

MAX_COUNTED_FAILURES = 20_000
"""Failed samples that are looked at, in the order of the run: the reasons of the rest are rarely others."""
BINS = 20


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many of the samples that were looked at failed for a reason."""

    code: str
    message: str
    """Of one of them."""
    count: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """How the values of a metric spread; ``edges`` is one longer than ``counts``."""

    metric: str
    edges: Sequence[float]
    counts: Sequence[int]


async def get_sample(session: AsyncSession, principal: Principal, *, run_id: UUID, sample_id: UUID) -> Sample:
    """One sample.

    Raises:
        RunNotFoundError: The run is not visible to the caller.
        SampleNotFoundError: It has no such sample.
    """
    row = await service.get_run_row(session, principal, run_id)
    place = await repository.find_sample_key(session, run_id=run_id, sample_id=sample_id)
    if place is None:
        raise SampleNotFoundError("The run has no such sample.")
    task_no, model_no, sample_index, _ = place
    wanted = SampleFilter(task_id=row.task_order[task_no], model=row.models[model_no], sample_indexes=[sample_index])
    page = await service.list_samples(session, principal, run_id=run_id, sample_filter=wanted, limit=100)
    return next(sample for sample in page.items if sample.id == sample_id)


async def count_failures(session: AsyncSession, principal: Principal, *, run_id: UUID) -> tuple[FailureCount, ...]:
    """Why samples failed, the commonest reason first; over the first ``MAX_COUNTED_FAILURES`` failed ones.

    Raises:
        RunNotFoundError: The run is not visible to the caller.
    """
    await service.get_run_row(session, principal, run_id)
    found = await session.execute(_FAILURES, {"run_id": run_id, "limit": MAX_COUNTED_FAILURES})
    return tuple(FailureCount(row.code, row.message, row.n) for row in found)


async def get_distribution(
    session: AsyncSession, principal: Principal, *, run_id: UUID, task_id: str, model: str, metric: str
) -> Distribution | None:
    """How the scores of one task and model spread; None when none is a number.

    Raises:
        RunNotFoundError: The run is not visible to the caller.
    """
    row = await service.get_run_row(session, principal, run_id)
    if task_id not in row.task_order or model not in row.models:
        return None
    values: dict[str, Any] = {
        "run_id": run_id,
        "task_no": row.task_order.index(task_id),
        "model_no": row.models.index(model),
        "metric": metric,
        "bins": BINS,
    }
    found = (await session.execute(_DISTRIBUTION, values)).all()
    if not found:
        return None
    low, high = found[0].low, found[0].high
    counts = [0] * (BINS if high > low else 1)
    for bin_row in found:
        counts[min(len(counts), max(1, bin_row.bin)) - 1] += bin_row.n
    width = (high - low) / len(counts) if high > low else 1.0
    return Distribution(metric, [low + n * width for n in range(len(counts) + 1)], counts)


_FAILURES = text("""
    SELECT coalesce(error->>'code', 'unknown') AS code, min(left(error->>'message', 300)) AS message, count(*) AS n
    FROM (
        SELECT error FROM run_samples WHERE run_id = :run_id AND status = 'failed'
        ORDER BY task_no, model_no, sample_index, repeat_no LIMIT :limit
    ) AS failed
    GROUP BY 1 ORDER BY n DESC, code LIMIT 50
""")
_DISTRIBUTION = text("""
    WITH found AS (
        SELECT CAST(scores->>CAST(:metric AS text) AS double precision) AS value
        FROM run_samples
        WHERE run_id = :run_id AND task_no = :task_no AND model_no = :model_no AND status = 'completed'
          AND jsonb_typeof(scores->CAST(:metric AS text)) = 'number'
    ), ends AS (SELECT min(value) AS low, max(value) AS high FROM found)
    SELECT CASE WHEN high > low THEN width_bucket(value, low, high, CAST(:bins AS integer)) ELSE 1 END AS bin,
           min(low) AS low, min(high) AS high, count(*) AS n
    FROM found CROSS JOIN ends GROUP BY 1 ORDER BY 1
""")
