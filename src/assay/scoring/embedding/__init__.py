"""Embedding tasks by MTEB's protocols: from vectors to metrics, without a model.

| kind | module | what is done with the vectors |
|---|---|---|
| sts | ``sts`` | similarity of each pair, correlated with people's scores |
| classification | ``labels`` | logistic regression on a few training texts of each label, several times |
| multilabel_classification | ``labels`` | five nearest neighbours, likewise |
| retrieval | ``ranking`` | the whole corpus is ranked for each query |
| reranking | ``ranking`` | each query's own candidates are ranked |

Metric names and the order of random draws are those of MTEB 2 (Muennighoff et al. 2023), so the same vectors give the
same numbers. Every metric comes as an ``Aggregate``, with the number of samples that it rests on and its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.scoring.aggregation import Aggregate

Vectors = NDArray[np.float32]
"""Shape (texts, dimensions)."""


@dataclass(frozen=True, slots=True)
class ProtocolResult:
    """What a protocol found."""

    metrics: Mapping[str, Aggregate]
    """Of the whole task, the main one first."""
    samples: Sequence[Mapping[str, float]]
    """Scores of each evaluated text, pair or query, in their order; empty for one that cannot be scored."""
