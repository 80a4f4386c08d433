"""sts: do vectors of texts lie as near as people say that the texts mean the same?

Similarity of each pair is its cosine, and the negative Manhattan and Euclidean distance; each is correlated with the
gold scores by Spearman's and Pearson's coefficient. Intervals come from Fisher's z, with the standard error
``1/sqrt(n - 3)`` for Pearson and ``sqrt((1 + r²/2) / (n - 3))`` for Spearman (Bonett and Wright 2000, "Sample size
requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 65).

n = 0 to 2, or gold scores or similarities that are all equal: no value. n = 3, or r = ±1: no interval.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.scoring.aggregation import Aggregate, IntervalMethod, make_aggregate
from assay.scoring.embedding import ProtocolResult, Vectors
from assay.scoring.statistics import DEFAULT_LEVEL, Interval

STS_METRICS: Final = tuple(
    f"{similarity}_{kind}" for similarity in ("cosine", "manhattan", "euclidean") for kind in ("spearman", "pearson")
)
_FEWEST: Final = 3

Floats = NDArray[np.float64]


def score_sts(first: Vectors, second: Vectors, gold: Floats, *, level: float = DEFAULT_LEVEL) -> ProtocolResult:
    """Score pairs of vectors.

    Args:
        first: Vectors of the pairs' first texts, shape (n, d).
        second: Of their second texts, shape (n, d).
        gold: How alike people find the texts, on any scale, shape (n,).
        level: Of the intervals.
    """
    similarities = {
        "cosine": cosine(first, second),
        "manhattan": -_distances(first, second, lambda part: np.abs(part).sum(axis=1)),
        "euclidean": -_distances(first, second, lambda part: np.sqrt(np.square(part).sum(axis=1))),
    }
    metrics = {
        f"{name}_{kind}": _correlation(kind, gold, values, level)
        for name, values in similarities.items()
        for kind in ("spearman", "pearson")
    }
    cosines = similarities["cosine"]
    return ProtocolResult(metrics, [{"cosine_similarity": float(value)} for value in cosines])


def cosine(first: Vectors, second: Vectors) -> Floats:
    """Cosine of each pair of rows; 0 where a vector is zero. Shapes (n, d) to (n,)."""
    products = np.einsum("ij,ij->i", first, second, dtype=np.float64)
    norms = np.sqrt(
        np.einsum("ij,ij->i", first, first, dtype=np.float64) * np.einsum("ij,ij->i", second, second, dtype=np.float64)
    )
    return np.clip(np.divide(products, norms, out=np.zeros_like(products), where=norms > 0), -1, 1)


def _distances(first: Vectors, second: Vectors, measure: Callable[[Floats], Floats]) -> Floats:
    found = np.empty(len(first))
    for start in range(0, len(first), 1024):
        part = slice(start, start + 1024)
        found[part] = measure(first[part].astype(np.float64) - second[part])
    return found


def _correlation(kind: str, gold: Floats, values: Floats, level: float) -> Aggregate:
    n = len(gold)
    value = None if n < _FEWEST else _correlate(kind, gold, values)
    interval = None if value is None else _fisher_interval(kind, value, n, level)
    return make_aggregate(value, n=n, unscored=0, interval=interval, method=IntervalMethod.FISHER_Z, level=level)


def _correlate(kind: str, gold: Floats, values: Floats) -> float | None:
    from scipy import stats

    library: Any = stats
    with warnings.catch_warnings():
        # Constant input has no correlation; the result says so itself.
        warnings.simplefilter("ignore")
        found = (library.spearmanr if kind == "spearman" else library.pearsonr)(gold, values)
    value = float(found[0])
    return None if math.isnan(value) else value


def _fisher_interval(kind: str, value: float, n: int, level: float) -> Interval | None:
    if n <= _FEWEST or abs(value) >= 1:
        return None
    spread = 1 + value * value / 2 if kind == "spearman" else 1.0
    margin = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(spread / (n - 3))
    return Interval(math.tanh(math.atanh(value) - margin), math.tanh(math.atanh(value) + margin))
