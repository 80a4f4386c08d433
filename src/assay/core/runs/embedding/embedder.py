"""Asking embedding models: many texts in one call.

A call that the provider refuses for what it was given (a text too long, say) is split in halves until the text at fault
stands alone, so that it fails and no other. Tokens and cost of a call are shared among its samples by the length of
their texts.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from assay.core.runs.answer import Answer, describe_failure, describe_timing
from assay.core.runs.embedding.layout import texts_of
from assay.core.runs.ledger import WorkItem
from assay.core.runs.plan import RunPlan
from assay.gateway.errors import ContextLengthError, ProviderError, RequestRejectedError
from assay.gateway.gateway import Gateway
from assay.gateway.types import EmbeddingReply, ModelRole
from assay.gateway.vectors import Vector
from assay.kit.errors import DomainError

MAX_CALL_CHARACTERS = 400_000
"""Of one call; about 100,000 tokens, of which providers take some 300,000."""


class Embedder:
    """Asks the run's models for the vectors of embedding tasks."""

    def __init__(self, gateway: Gateway, plan: RunPlan) -> None:
        self._gateway = gateway
        self._plan = plan
        self._fresh: dict[str, list[tuple[str, Vector]]] = {}

    def cut(self, items: Sequence[WorkItem]) -> list[list[WorkItem]]:
        """The items of one task and model in parcels that one call each can take."""
        if not items:
            return []
        model = self._gateway.catalog.resolve(self._model(items[0]), ModelRole.EMBEDDING)
        parcels: list[list[WorkItem]] = [[]]
        texts = characters = 0
        for item in items:
            mine = self._texts(item)
            size = sum(map(len, mine))
            too_many = texts + len(mine) > model.entry.max_batch_size or characters + size > MAX_CALL_CHARACTERS
            if parcels[-1] and too_many:
                parcels.append([])
                texts = characters = 0
            parcels[-1].append(item)
            texts, characters = texts + len(mine), characters + size
        return parcels

    async def recall(self, items: Sequence[WorkItem]) -> list[Answer | None]:
        """Answers whose vectors are in the cache, aligned with the items of one task and model."""
        if not items:
            return []
        texts = [self._texts(item) for item in items]
        flat = [text for mine in texts for text in mine]
        found = iter(await self._gateway.recall_vectors(self._model(items[0]), flat, project_id=self._plan.project_id))
        answers: list[Answer | None] = []
        for mine in texts:
            vectors = [next(found) for _ in mine]
            known = [vector for vector in vectors if vector is not None]
            answers.append(_answer(known) if len(known) == len(mine) else None)
        return answers

    async def ask(self, items: Sequence[WorkItem]) -> list[Answer]:
        """Embed the texts of a parcel. A failed call is an answer too; it never raises for one."""
        texts = [self._texts(item) for item in items]
        model = self._model(items[0])
        generation = self._plan.generation
        try:
            reply = await self._gateway.embed(
                model,
                [text for mine in texts for text in mine],
                timeout_seconds=generation.timeout_seconds,
                max_retries=generation.max_retries,
            )
        except (RequestRejectedError, ContextLengthError) as error:
            if len(items) == 1:
                return [Answer(None, describe_failure(error, error.attempts))]
            middle = len(items) // 2
            return [*await self.ask(items[:middle]), *await self.ask(items[middle:])]
        except ProviderError as error:
            return [Answer(None, describe_failure(error, error.attempts)) for _ in items]
        except DomainError as error:
            return [Answer(None, describe_failure(error, ())) for _ in items]
        return self._take(model, texts, reply)

    async def store_in_cache(self) -> None:
        """Store the vectors that came since the last call."""
        fresh, self._fresh = self._fresh, {}
        for model, pairs in fresh.items():
            await self._gateway.remember_vectors(model, pairs, project_id=self._plan.project_id)

    def _take(self, model: str, texts: Sequence[Sequence[str]], reply: EmbeddingReply) -> list[Answer]:
        answers: list[Answer] = []
        shares = _shares([sum(map(len, mine)) for mine in texts], reply)
        row = 0
        for mine, (tokens, cost) in zip(texts, shares, strict=True):
            vectors = list(reply.vectors[row : row + len(mine)])
            row += len(mine)
            if self._plan.generation.use_cache:
                self._fresh.setdefault(model, []).extend(zip(mine, vectors, strict=True))
            answer = _answer(vectors)
            answer.values.update(describe_timing(reply.attempts))
            answer.values["input_tokens"] = tokens
            answer.values["cost_usd"] = None if cost is None else str(cost)
            answers.append(answer)
        return answers

    def _model(self, item: WorkItem) -> str:
        return self._plan.models[item.model_no]

    def _texts(self, item: WorkItem) -> list[str]:
        config = self._plan.tasks[item.task_no].embedding
        if config is None:
            raise ValueError(f"task {self._plan.tasks[item.task_no].id} embeds nothing")
        return texts_of(config, item.dataset_row, item.prompt)


def _answer(vectors: Sequence[Vector]) -> Answer:
    encoded = base64.b64encode(np.concatenate(vectors).astype("<f4").tobytes()).decode()
    return Answer("", {"vectors": encoded, **describe_timing(())})


def _shares(lengths: Sequence[int], reply: EmbeddingReply) -> list[tuple[int | None, Decimal | None]]:
    """Each sample's part of a call's tokens and cost; the parts add up to the whole."""
    total = sum(lengths) or 1
    shares: list[tuple[int | None, Decimal | None]] = []
    tokens, cost = reply.usage.input_tokens, reply.cost_usd
    passed = given = 0
    spent = Decimal(0)
    for length in lengths:
        passed += length
        until = None if tokens is None else tokens * passed // total
        dollars = None if cost is None else cost * passed / total
        shares.append((None if until is None else until - given, None if dollars is None else dollars - spent))
        given, spent = until or 0, dollars or Decimal(0)
    return shares
