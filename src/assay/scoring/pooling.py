"""Metrics of a whole task that are no mean over its samples: all samples' counts are summed up, then comes the formula.

That is how papers report BLEU, chrF and error rates: a long text weighs more than a short one. Each sample keeps its
counts (``Scored.statistics``), so nothing is compared twice.

The interval is the percentile bootstrap over samples (Koehn 2004, "Statistical significance tests for machine
translation evaluation"; Bisani and Ney 2004 for error rates): 1,000 seeded resamples, or 200 above 50,000 samples. With
fewer than two samples, or no spread between resamples, there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from assay.scoring.aggregation import Aggregate, IntervalMethod, make_aggregate
from assay.scoring.overlap import chrf_score, corpus_bleu
from assay.scoring.statistics import DEFAULT_LEVEL, percentile_interval
from assay.scoring.transcripts import error_rate

RESAMPLES: Final = 1000
_FEWER_RESAMPLES: Final = 200
_MANY_SAMPLES: Final = 50_000
_SEED: Final = 20_040_707

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PooledMetric:
    """A metric over counts."""

    id: str
    width: int
    """How many counts a sample has."""
    formula: Callable[[Sequence[int]], float]
    """From summed counts to the value."""


POOLED: Final[Mapping[str, PooledMetric]] = {
    "bleu": PooledMetric("corpus_bleu", 10, corpus_bleu),
    "chrf": PooledMetric("corpus_chrf", 18, chrf_score),
    "wer": PooledMetric("corpus_wer", 2, error_rate),
    "cer": PooledMetric("corpus_cer", 2, error_rate),
}
"""By the kind of statistics."""

_KINDS_BY_TASK: Final[Mapping[str, tuple[str, ...]]] = {
    "summarization": ("bleu", "chrf"),
    "transcription": ("wer", "cer"),
}


def pooled_kinds(task_type: str) -> tuple[str, ...]:
    """Kinds of statistics that the built-in scorer of a task type keeps."""
    return _KINDS_BY_TASK.get(task_type, ())


def pooled_metric_ids(task_type: str) -> tuple[str, ...]:
    """Metrics of a whole task that are made of them."""
    return tuple(POOLED[kind].id for kind in pooled_kinds(task_type))


def pool(kind: str, counts: Counts, *, unscored: int = 0, level: float = DEFAULT_LEVEL) -> Aggregate:
    """The metric of all samples together, with its interval.

    Args:
        kind: Of the statistics.
        counts: Shape (samples, width), none negative.
        unscored: Completed samples that have none.
        level: Of the interval.

    Raises:
        ValueError: The counts have another width, or ``level`` is out of range.
    """
    metric = POOLED[kind]
    if counts.ndim != 2 or counts.shape[1] != metric.width:
        raise ValueError(f"{kind} needs counts of shape (n, {metric.width}), not {counts.shape}")
    n = len(counts)
    if n == 0:
        return Aggregate(None, 0, unscored, None, None, level, IntervalMethod.NONE)
    value = metric.formula(_sum(counts))
    interval = None if n < 2 else percentile_interval(_replicates(metric, counts), level=level)
    method = IntervalMethod.BOOTSTRAP_PERCENTILE
    return make_aggregate(value, n=n, unscored=unscored, interval=interval, method=method, level=level)


def _sum(counts: Counts) -> list[int]:
    return [int(count) for count in counts.sum(axis=0)]


def _replicates(metric: PooledMetric, counts: Counts) -> NDArray[np.float64]:
    n = len(counts)
    rng = np.random.default_rng(_SEED)
    resamples = RESAMPLES if n <= _MANY_SAMPLES else _FEWER_RESAMPLES
    # Sums of integers below 2^53 are exact in floating point, where the product is fast.
    exact = counts.astype(np.float64)
    values = np.empty(resamples)
    for number in range(resamples):
        drawn = np.bincount(rng.integers(0, n, size=n), minlength=n).astype(np.float64)
        values[number] = metric.formula([int(count) for count in drawn @ exact])
    return values
