"""Metrics of a run whose prompts were repeated: intervals that count items, pass@k, pass^k and the mean of k.

Repeats of one item resemble each other, so that n samples of it tell less than n items. PostgreSQL sums up by item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.scoring.aggregation import IntervalMethod
from assay.scoring.clusters import ClusteredMean, clustered_mean_from_sums
from assay.scoring.repeats import RepeatEstimate, pass_at_k, pass_hat_k, passes_estimate
from assay.scoring.statistics import DEFAULT_LEVEL, t_interval

_EVERY_K_UP_TO = 5

Place = tuple[int, int | None]
"""Ordinals of task and model; None for all models together."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """What repeats tell, by place and metric; empty when nothing was repeated."""

    repeats: int = 1
    means: Mapping[Place, dict[str, ClusteredMean]] = field(default_factory=dict[Place, dict[str, ClusteredMean]])
    means_of_k: Mapping[Place, dict[str, RepeatEstimate]] = field(
        default_factory=dict[Place, dict[str, RepeatEstimate]]
    )
    passes: Mapping[Place, dict[str, dict[tuple[int, int], int]]] = field(
        default_factory=dict[Place, dict[str, dict[tuple[int, int], int]]]
    )

    def put_intervals(self, intervals: dict[str, dict[str, Any]], task_no: int, model_no: int | None) -> None:
        """Replace intervals that take samples for independent by those that count items."""
        for metric, mean in self.means.get((task_no, model_no), {}).items():
            described = intervals.get(metric)
            if described is None:
                continue
            bounds = mean.interval
            method = IntervalMethod.NONE if bounds is None else IntervalMethod.CLUSTERED_T
            described.update(
                low=None if bounds is None else bounds.low,
                high=None if bounds is None else bounds.high,
                method=method.value,
                clusters=mean.clusters,
            )

    def describe(self, task_no: int, model_no: int) -> dict[str, Any]:
        """``{"repeats": …}`` of one task and model, JSON-ready; nothing when nothing was repeated."""
        if self.repeats == 1:
            return {}
        place = (task_no, model_no)
        metrics: dict[str, Any] = {
            metric: {"mean_of_k": {str(self.repeats): _describe(estimate)}}
            for metric, estimate in self.means_of_k.get(place, {}).items()
        }
        for metric, counts in self.passes.get(place, {}).items():
            for name, estimator in (("pass_at_k", pass_at_k), ("pass_hat_k", pass_hat_k)):
                estimates = {str(k): _describe(passes_estimate(counts, k, estimator)) for k in ks_up_to(self.repeats)}
                metrics[metric][name] = estimates
        return {"repeats": {"k": self.repeats, "metrics": metrics}}


def ks_up_to(repeats: int) -> list[int]:
    """The k that are reported: all up to 5, then powers of two, and the largest."""
    powers = (2**power for power in range(3, 8))
    return sorted({*range(1, min(repeats, _EVERY_K_UP_TO) + 1), *(k for k in powers if k < repeats), repeats})


def _describe(estimate: RepeatEstimate) -> dict[str, Any]:
    interval = estimate.interval
    return {
        "value": estimate.mean,
        "items": estimate.items,
        "left_out": estimate.left_out,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "level": DEFAULT_LEVEL,
    }


async def measure_repeats(session: AsyncSession, run_id: UUID, *, repeats: int) -> Repeated:
    """Sum up a run's samples by item."""
    means: dict[Place, dict[str, ClusteredMean]] = {}
    means_of_k: dict[Place, dict[str, RepeatEstimate]] = {}
    passes: dict[Place, dict[str, dict[tuple[int, int], int]]] = {}
    for by_model in (True, False):
        values = {"run_id": run_id, "by_model": by_model, "repeats": repeats}
        for row in await session.execute(_CLUSTERS, values):
            place = (row.task_no, row.model_no if by_model else None)
            mean = clustered_mean_from_sums(
                n=row.n, mean=float(row.mean), clusters=row.clusters, squares=float(row.squares)
            )
            if mean is not None:
                means.setdefault(place, {})[row.metric] = mean
            if by_model:
                means_of_k.setdefault(place, {})[row.metric] = _mean_of_k(row)
    for row in await session.execute(_PASSES, {"run_id": run_id, "by_model": True}):
        counts = passes.setdefault((row.task_no, row.model_no), {}).setdefault(row.metric, {})
        counts[row.passes, row.n] = row.items
    return Repeated(repeats, means, means_of_k, passes)


def _mean_of_k(row: Any) -> RepeatEstimate:
    mean = None if row.whole_mean is None else float(row.whole_mean)
    interval = None
    if mean is not None and row.whole_variance is not None:
        interval = t_interval(mean, float(row.whole_variance), row.whole)
    return RepeatEstimate(mean, row.whole, row.clusters - row.whole, interval)


# Decimals for the reason that the metrics' moments have them: sums that do not depend on the order.
_ITEMS = """
    scores AS (
        SELECT s.task_no, CASE WHEN :by_model THEN s.model_no ELSE -1 END AS model_no, s.sample_index,
               score.key AS metric, CAST(score.value AS numeric) AS value
        FROM run_samples s CROSS JOIN LATERAL jsonb_each(s.scores) AS score
        WHERE s.run_id = :run_id AND s.status = 'completed' AND jsonb_typeof(score.value) = 'number'
    ), items AS (
        SELECT task_no, model_no, metric, sample_index, count(*) AS n, sum(value) AS total,
               bool_and(value IN (0, 1)) AS is_binary
        FROM scores GROUP BY task_no, model_no, metric, sample_index
    )
"""
# Constants of this module, no text of a user.
_CLUSTERS = text(f"""
    WITH {_ITEMS}, means AS (
        SELECT task_no, model_no, metric, sum(total) / sum(n) AS mean FROM items GROUP BY task_no, model_no, metric
    )
    SELECT task_no, model_no, metric, CAST(sum(n) AS bigint) AS n, mean, count(*) AS clusters,
           sum((total - n * mean) * (total - n * mean)) AS squares, count(*) FILTER (WHERE n >= :repeats) AS whole,
           avg(total / n) FILTER (WHERE n >= :repeats) AS whole_mean,
           var_samp(total / n) FILTER (WHERE n >= :repeats) AS whole_variance
    FROM items JOIN means USING (task_no, model_no, metric)
    GROUP BY task_no, model_no, metric, mean
""")
_PASSES = text(f"""
    WITH {_ITEMS}, pass_or_fail AS (
        SELECT task_no, model_no, metric FROM items GROUP BY task_no, model_no, metric HAVING bool_and(is_binary)
    )
    SELECT task_no, model_no, metric, CAST(total AS integer) AS passes, CAST(n AS integer) AS n,
           CAST(count(*) AS integer) AS items
    FROM items JOIN pass_or_fail USING (task_no, model_no, metric)
    GROUP BY task_no, model_no, metric, total, n
""")
