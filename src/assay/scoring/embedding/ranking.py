"""retrieval and reranking: do queries lie nearest to what answers them?

Similarity is the cosine, in single precision. The corpus passes in blocks and only the best ``k`` of each query are
kept, so memory is the vectors' own and a few blocks: 50,000 texts of 1,536 dimensions take 300 MB.

Metrics at each cutoff k are those of ``trec_eval`` under MTEB's names: ``ndcg_at_k`` (gain is the relevance, discount
log2(rank + 1)), ``map_at_k``, ``recall_at_k``, ``precision_at_k``, ``mrr_at_k``, ``hit_rate_at_k``. A text
is relevant if its relevance is above 0. Texts of equal similarity rank by their ids, the greatest first, as
``trec_eval`` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from assay.scoring.aggregation import Aggregate, MetricAccumulator
from assay.scoring.embedding import ProtocolResult, Vectors
from assay.scoring.statistics import DEFAULT_LEVEL

K_VALUES: Final = (1, 3, 5, 10, 20, 100, 1000)
FAMILIES: Final = ("ndcg", "map", "recall", "precision", "mrr", "hit_rate")
_BLOCK_CELLS: Final = 16 * 1024 * 1024
"""Similarities held at one time: 64 MB."""
_CORPUS_BLOCK: Final = 8192

Indexes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Query:
    """What is known of a query."""

    relevance: Mapping[str, int]
    """Of corpus texts, by their ids. Without a judgment the query cannot be scored."""
    candidates: Sequence[str] | None = None
    """Ids of the corpus texts to rank; None ranks them all."""


def score_ranking(
    queries: Sequence[Query],
    query_vectors: Vectors,
    corpus_ids: Sequence[str],
    corpus_vectors: Vectors,
    *,
    k_values: Sequence[int] = K_VALUES,
    level: float = DEFAULT_LEVEL,
) -> ProtocolResult:
    """Rank the corpus, or each query's candidates, and measure the rankings.

    When every query has candidates, ``map`` and ``mrr`` over the whole ranking are added.

    Args:
        queries: m queries.
        query_vectors: Shape (m, d).
        corpus_ids: n distinct ids.
        corpus_vectors: Shape (n, d). Normalized in place.
        k_values: Cutoffs, each at least 1.
        level: Of the intervals.
    """
    reranking = bool(queries) and all(query.candidates is not None for query in queries)
    normalize(corpus_vectors)
    query_vectors = normalize(query_vectors.copy())
    tie_order = _places(corpus_ids)
    ranked = (
        _rank_candidates(queries, query_vectors, corpus_ids, corpus_vectors, tie_order)
        if reranking
        else _rank_all(query_vectors, corpus_vectors, tie_order, k=max(k_values))
    )
    samples = [
        measure([corpus_ids[int(place)] for place in places], query.relevance, k_values=k_values, whole=reranking)
        if query.relevance
        else {}
        for query, places in zip(queries, ranked, strict=True)
    ]
    return ProtocolResult(_means(samples, level), samples)


def ranking_metrics(k_values: Sequence[int], *, whole: bool) -> tuple[str, ...]:
    """All metrics that there are; ``whole`` adds those without a cutoff."""
    return (*(("map", "mrr") if whole else ()), *(f"{family}_at_{k}" for k in k_values for family in FAMILIES))


def normalize(vectors: Vectors) -> Vectors:
    """Bring each row to length 1, in place; zero rows stay."""
    for start in range(0, len(vectors), _CORPUS_BLOCK):
        block = vectors[start : start + _CORPUS_BLOCK]
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        np.divide(block, lengths, out=block, where=lengths > 0)
    return vectors


def _places(ids: Sequence[str]) -> Indexes:
    """The place of each id when ids are sorted, the greatest first."""
    places = np.empty(len(ids), dtype=np.int64)
    places[sorted(range(len(ids)), key=ids.__getitem__, reverse=True)] = np.arange(len(ids))
    return places


def _rank_all(queries: Vectors, corpus: Vectors, tie_order: Indexes, *, k: int) -> Iterator[Indexes]:
    """Places in the corpus of each query's best k, best first."""
    width = min(_CORPUS_BLOCK, max(1, len(corpus)))
    height = max(1, _BLOCK_CELLS // (width + 2 * k))
    for start in range(0, len(queries), height):
        yield from _rank_block(queries[start : start + height], corpus, tie_order, k=k, width=width)


def _rank_block(queries: Vectors, corpus: Vectors, tie_order: Indexes, *, k: int, width: int) -> Iterator[Indexes]:
    best = np.empty((len(queries), 0), dtype=np.float32)
    places = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(corpus), width):
        found = queries @ corpus[start : start + width].T
        local: Indexes = np.broadcast_to(np.arange(start, start + found.shape[1], dtype=np.int64), found.shape)
        found, local = _keep_best(found, local, k)
        best, places = _keep_best(np.hstack([best, found]), np.hstack([places, local]), k)
    for similarities, row in zip(best, places, strict=True):
        yield row[np.lexsort((tie_order[row], -similarities))]


def _keep_best(values: Vectors, places: Indexes, k: int) -> tuple[Vectors, Indexes]:
    """The k greatest of each row, in any order."""
    if values.shape[1] <= k:
        return values, places
    chosen = np.argpartition(values, values.shape[1] - k, axis=1)[:, -k:]
    return np.take_along_axis(values, chosen, axis=1), np.take_along_axis(places, chosen, axis=1)


def _rank_candidates(
    queries: Sequence[Query], vectors: Vectors, ids: Sequence[str], corpus: Vectors, tie_order: Indexes
) -> Iterator[Indexes]:
    """Places in the corpus of each query's candidates, best first; candidates that the corpus lacks are left out."""
    places = {name: place for place, name in enumerate(ids)}
    for query, vector in zip(queries, vectors, strict=True):
        names = dict.fromkeys(query.candidates or ())
        row = np.array([places[name] for name in names if name in places], dtype=np.int64)
        similarities = corpus[row] @ vector
        yield row[np.lexsort((tie_order[row], -similarities))]


def measure(
    ranking: Sequence[str], relevance: Mapping[str, int], *, k_values: Sequence[int], whole: bool = False
) -> dict[str, float]:
    """Metrics of one query.

    Args:
        ranking: Ids, best first.
        relevance: By id; what is not judged is not relevant.
        k_values: Cutoffs.
        whole: Add ``map`` and ``mrr`` without a cutoff.
    """
    hits = [(rank, gain) for rank, name in enumerate(ranking, start=1) if (gain := relevance.get(name, 0)) > 0]
    ideal = sorted((gain for gain in relevance.values() if gain > 0), reverse=True)
    found = {f"{family}_at_{k}": value for k in k_values for family, value in _at(hits, ideal, k).items()}
    if whole:
        everything = _at(hits, ideal, max(1, len(ranking)))
        return {"map": everything["map"], "mrr": everything["mrr"], **found}
    return found


def _at(hits: Sequence[tuple[int, int]], ideal: Sequence[int], k: int) -> dict[str, float]:
    """Metrics at one cutoff, from rank and relevance of what was found and the relevances of all there is to find."""
    within = [(rank, gain) for rank, gain in hits if rank <= k]
    relevant = len(ideal)
    best = _discounted(enumerate(ideal[:k], start=1))
    precisions = sum(number / rank for number, (rank, _) in enumerate(within, start=1))
    return {
        "ndcg": _discounted(within) / best if best else 0.0,
        "map": precisions / relevant if relevant else 0.0,
        "recall": len(within) / relevant if relevant else 0.0,
        "precision": len(within) / k,
        "mrr": 1 / within[0][0] if within else 0.0,
        "hit_rate": float(bool(within)),
    }


def _discounted(gains: Iterable[tuple[int, int]]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in gains)


def _means(samples: Sequence[Mapping[str, float]], level: float) -> dict[str, Aggregate]:
    accumulators: dict[str, MetricAccumulator] = {}
    unscored = sum(not sample for sample in samples)
    for sample in samples:
        for metric, value in sample.items():
            accumulators.setdefault(metric, MetricAccumulator(unscored=unscored)).add(value)
    return {metric: accumulator.aggregate(level=level) for metric, accumulator in accumulators.items()}
