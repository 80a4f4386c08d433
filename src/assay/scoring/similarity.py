"""semantic_similarity: how near do the answer and the target lie to each other, as an embedding model sees them?

``cosine_similarity`` is the cosine of their vectors, -1 to 1; with several golds, the greatest. It depends on the
embedding model, so only numbers of one model can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from assay.scoring.embedding.sts import cosine
from assay.scoring.scores import NO_TARGET, AnswerFault, Score, Scored, ScoredOutput, read_golds

METRIC: Final = "cosine_similarity"

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Texts whose vectors are needed."""

    answer: str
    golds: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them, the answer first."""
        return (self.answer, *self.golds)


@dataclass(frozen=True, slots=True)
class SimilarityScorer:
    """Says which texts to embed, and what follows from their vectors."""

    @property
    def version(self) -> str:
        """Name and number of the rules; see :class:`Scorer`."""
        return "semantic_similarity/1"

    @property
    def metric_ids(self) -> tuple[str, ...]:
        """Keys of the scores."""
        return (METRIC,)

    def compare(self, output: ScoredOutput) -> Comparison | Score:
        """What to embed, or the score where there is nothing to embed: no target, or no answer, which counts as 0."""
        golds = read_golds(output.target)
        if not golds:
            return NO_TARGET
        answer = output.extracted_output
        if answer is None or not answer.strip():
            return Scored({METRIC: 0.0}, AnswerFault.NOT_EXTRACTED)
        return Comparison(answer, tuple(golds))

    def score(self, vectors: Sequence[Vector]) -> Scored:
        """The score.

        Args:
            vectors: Of a comparison's texts, in their order.
        """
        answer, golds = vectors[0], np.stack(vectors[1:])
        similarities = cosine(np.broadcast_to(answer, golds.shape), golds)
        return Scored({METRIC: float(similarities.max())})
