"""Asking a judge: its requests, in parallel; unreadable replies again; and what they come to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from assay.core.judging.types import JudgeOutcome, JudgeReply
from assay.gateway.errors import ProviderError, RequestRejectedError, UnsupportedParameterError
from assay.gateway.gateway import Gateway
from assay.gateway.generation import DEFAULT_GENERATION, Generation
from assay.gateway.types import Message, ModelReply, ModelRequest, ModelRole
from assay.kit.errors import DomainError
from assay.scoring.judge import (
    Ask,
    FailureKind,
    Judge,
    Judgement,
    JudgePrompt,
    Order,
    Pairwise,
    Part,
    Reading,
    Unreadable,
    build_prompt,
    pair_parts,
    read_reply,
)

MORE_ATTEMPTS: Final = 2
"""Further requests after a reply that cannot be read."""
_HOPELESS: Final = frozenset({FailureKind.OUTPUT_LIMIT, FailureKind.FILTERED, FailureKind.CALL_FAILED})
_MOST_AT_ONCE: Final = 8


class JudgeCaller:
    """Asks judges on behalf of one project.

    Models whose API takes no schema are asked without one: those of an API that has none, and those that refuse the
    request and take it without. The latter are remembered, so keep the caller.
    """

    def __init__(self, gateway: Gateway, *, project_id: UUID) -> None:
        self._gateway = gateway
        self._project_id = project_id
        self._without_schema: set[str] = set()

    async def ask(
        self,
        judge: Judge,
        parts: Sequence[Part],
        *,
        models: Sequence[str] | None = None,
        pair: tuple[str, str] | None = None,
        generation: Generation = DEFAULT_GENERATION,
    ) -> JudgeOutcome:
        """A judge's decision about some material. What goes wrong with a model or its reply is part of the outcome.

        Args:
            judge: Who decides what.
            parts: The material; of a pair, what both answers have in common.
            models: Catalog ids for the judge's models, in their order; those themselves by default.
            pair: Candidate and baseline; for a pairwise question, and only then.
            generation: Settings of the requests; their ``text`` is replaced.

        Raises:
            ValueError: ``pair`` is missing, or given without a pairwise question.
        """
        prompts = _prompts(judge, parts, pair)
        asks = judge.asks()
        wanted = judge.models if models is None else models
        slots = asyncio.Semaphore(_MOST_AT_ONCE)

        async def answer(ask: Ask) -> list[JudgeReply]:
            async with slots:
                return await self._ask_until_read(judge, ask, prompts[ask.order], wanted[ask.model_no], generation)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(ask)) for ask in asks]
        tried = [task.result() for task in tasks]
        resolved = [self._name(model) for model in wanted]
        return JudgeOutcome(
            judge=judge,
            version=judge.version(resolved),
            models=resolved,
            prompts=list(prompts.values()),
            vote=judge.decide([replies[-1].reading for replies in tried]),
            replies=[reply for replies in tried for reply in replies],
        )

    def _name(self, model: str) -> str:
        """The model's id in the catalog, so that a version says which model ``auto`` was."""
        try:
            return self._gateway.catalog.resolve(model, ModelRole.JUDGE).id
        except DomainError:
            return model

    async def _ask_until_read(
        self, judge: Judge, ask: Ask, prompt: JudgePrompt, model: str, generation: Generation
    ) -> list[JudgeReply]:
        replies: list[JudgeReply] = []
        for attempt in range(1 + MORE_ATTEMPTS):
            request = ModelRequest(
                model=model,
                messages=(Message("system", prompt.system), Message("user", prompt.user)),
                generation=generation,
                # Another number is another entry of the cache: an unreadable reply is not read again.
                repeat=ask.repeat + attempt * judge.repeats,
                project_id=self._project_id,
                role=ModelRole.JUDGE,
            )
            replies.append(await self._ask_once(judge, ask, prompt, request, attempt))
            reading = replies[-1].reading
            if isinstance(reading, Judgement) or reading.kind in _HOPELESS:
                break
        return replies

    async def _ask_once(
        self, judge: Judge, ask: Ask, prompt: JudgePrompt, request: ModelRequest, attempt: int
    ) -> JudgeReply:
        try:
            reply = await self._respond(request, prompt)
        except (ProviderError, DomainError) as error:
            failure = Unreadable(FailureKind.CALL_FAILED, error.message)
            reply = ModelReply("", self._name(request.model), "")
            return _reply(ask, attempt, reply, failure)
        reading = read_reply(judge.question, reply.text, finish_reason=reply.finish_reason, order=ask.order)
        return _reply(ask, attempt, reply, reading)

    async def _respond(self, request: ModelRequest, prompt: JudgePrompt) -> ModelReply:
        text = {**(request.generation.text or {}), "format": prompt.response_format}
        structured = replace(request, generation=replace(request.generation, text=text))
        if request.model in self._without_schema:
            return await self._gateway.respond_cached(request)
        try:
            return await self._gateway.respond_cached(structured)
        except (UnsupportedParameterError, RequestRejectedError) as refusal:
            try:
                reply = await self._gateway.respond_cached(request)
            except RequestRejectedError:
                raise refusal from None
            self._without_schema.add(request.model)
            return reply


def _prompts(judge: Judge, parts: Sequence[Part], pair: tuple[str, str] | None) -> Mapping[Order, JudgePrompt]:
    if isinstance(judge.question, Pairwise) is (pair is None):
        raise ValueError("a pairwise question, and no other, is asked of a candidate and a baseline")
    if pair is None:
        return {Order.CANDIDATE_FIRST: build_prompt(judge.question, parts)}
    candidate, baseline = pair
    return {
        order: build_prompt(judge.question, pair_parts(parts, candidate=candidate, baseline=baseline, order=order))
        for order in Order
    }


def _reply(ask: Ask, attempt: int, reply: ModelReply, reading: Reading) -> JudgeReply:
    return JudgeReply(
        model=reply.model,
        repeat=ask.repeat,
        order=ask.order,
        attempt=attempt,
        text=reply.text,
        finish_reason=reply.finish_reason,
        reading=reading,
        usage=reply.usage,
        cost_usd=reply.cost_usd,
        cached=reply.cached,
    )
