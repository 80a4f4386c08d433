"""Comparing answers with targets by the run's embedding model, many at a time.

Vectors come from the response cache where they are there. What embedding costs is kept with the samples as the cost of
judging them is.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from assay.core.runs.plan import RunPlan
from assay.gateway.errors import RequestRejectedError
from assay.gateway.gateway import Gateway
from assay.gateway.vectors import Vector
from assay.kit.errors import DomainError
from assay.scoring.scores import Score
from assay.scoring.similarity import Comparison, SimilarityScorer

AUTO = "auto"

Compared = tuple[Score, dict[str, Any]] | DomainError
"""A score with what it says besides, or why there is none."""


class Comparer:
    """Embeds comparisons through the gateway."""

    def __init__(self, gateway: Gateway, plan: RunPlan) -> None:
        self._gateway = gateway
        self._plan = plan
        self._model = plan.config.embedding_model or AUTO

    async def compare(self, scorer: SimilarityScorer, comparisons: Sequence[Comparison]) -> list[Compared]:
        """Score comparisons. A text that the provider refuses fails its own comparison and no other.

        It never raises for a call that failed.
        """
        try:
            return await self._compare(scorer, comparisons)
        except RequestRejectedError as error:
            if len(comparisons) == 1:
                return [error]
            middle = len(comparisons) // 2
            return [
                *await self.compare(scorer, comparisons[:middle]),
                *await self.compare(scorer, comparisons[middle:]),
            ]
        except DomainError as error:
            return [error] * len(comparisons)

    async def _compare(self, scorer: SimilarityScorer, comparisons: Sequence[Comparison]) -> list[Compared]:
        texts = list(dict.fromkeys(text for comparison in comparisons for text in comparison.texts))
        vectors, cost = await self._embed(texts)
        share = None if cost is None else float(cost / len(comparisons))
        said = {"scorer": scorer.version, "model": self._model, "cost_usd": share}
        return [(scorer.score([vectors[text] for text in comparison.texts]), dict(said)) for comparison in comparisons]

    async def _embed(self, texts: Sequence[str]) -> tuple[dict[str, Vector], Decimal | None]:
        """The vector of each text, and what it cost; None when the price is not known or nothing was asked."""
        project_id, generation = self._plan.project_id, self._plan.generation
        recalled: list[Vector | None] = [None] * len(texts)
        if generation.use_cache:
            recalled = await self._gateway.recall_vectors(self._model, texts, project_id=project_id)
        known = {text: vector for text, vector in zip(texts, recalled, strict=True) if vector is not None}
        missing = [text for text in texts if text not in known]
        if not missing:
            return known, None
        reply = await self._gateway.embed(
            self._model, missing, timeout_seconds=generation.timeout_seconds, max_retries=generation.max_retries
        )
        fresh = list(zip(missing, reply.vectors, strict=True))
        if generation.use_cache:
            await self._gateway.remember_vectors(self._model, fresh, project_id=project_id)
        return {**known, **dict(fresh)}, reply.cost_usd
