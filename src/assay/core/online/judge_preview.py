"""Trying a judge on recent traffic before it is kept. Nothing is stored; the calls cost what they cost.

The question, the material and the reading of the reply are those of judging for real; there is one attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.access import JudgeAccess, JudgeTools, open_judge
from assay.core.evaluators.definition import define
from assay.core.evaluators.errors import DefinitionError
from assay.core.evaluators.types import Definition, EvaluatorKind, ModelChoice, OutputKind, TargetKind
from assay.core.events.service import list_events
from assay.core.events.types import GENERATION, EventQuery, StoredEvent
from assay.core.online.judging import generation_parts, question_of
from assay.core.online.preview import LOOKED_BACK
from assay.core.projects.types import Principal, Scope
from assay.gateway.entries import ResolvedModel
from assay.gateway.errors import ProviderError, UnsupportedParameterError
from assay.gateway.types import Generation, Message, ModelReply, ModelRequest, ModelRole
from assay.kit.clock import utc_now
from assay.scoring.judge import Judgement, build_prompt, read_reply

MAX_TRIALS = 5
_CALL_SECONDS = 30.0

Respond = Callable[[ResolvedModel, ModelRequest], Awaitable[ModelReply]]


@dataclass(frozen=True, slots=True)
class JudgeTrial:
    """What a judge said of a generation, or why it said nothing."""

    event: StoredEvent
    judgement: Judgement | None
    error: str | None
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class PreparedTrials:
    """A checked judge with its generations: what is left to do needs no database."""

    definition: Definition
    access: JudgeAccess
    events: Sequence[StoredEvent]


async def prepare_judge(
    session: AsyncSession,
    principal: Principal,
    *,
    prompt: str,
    output_kind: OutputKind,
    output_config: dict[str, Any],
    model: ModelChoice,
    count: int,
    tools: JudgeTools,
) -> PreparedTrials:
    """Check a judge of generations and find what it is tried on.

    Args:
        session: Where to read.
        principal: The caller; trying costs money, so it takes the right to write.
        prompt: What the judge is asked.
        output_kind: The form of its verdict.
        output_config: See ``define``.
        model: Which model judges.
        count: How many of the newest generations, at most ``MAX_TRIALS``.
        tools: Where keys are.

    Raises:
        MissingScopeError: The caller may not write.
        DefinitionError: A part is wrong.
        JudgeKeyError: The model cannot be called.
    """
    principal.require(Scope.EVALUATION_WRITE)
    if not prompt.strip():
        raise DefinitionError("config.prompt", "Say what the judge is to look for.")
    definition = define(
        kind=EvaluatorKind.LLM_JUDGE,
        config={"prompt": prompt},
        output_kind=output_kind,
        output_config=output_config,
        target=TargetKind.GENERATION,
        target_config={},
        model=model,
    )
    access = await open_judge(session, principal.project_id, model, tools)
    query = EventQuery(event=GENERATION, after=utc_now() - LOOKED_BACK)
    page = await list_events(session, principal, query, limit=min(max(count, 1), MAX_TRIALS))
    return PreparedTrials(definition, access, page.events)


async def try_judge(respond: Respond, prepared: PreparedTrials) -> list[JudgeTrial]:
    """Ask the judge about each generation, all at once, by a gateway's ``respond_with``."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_try(respond, prepared, event)) for event in prepared.events]
    return [task.result() for task in tasks]


async def _try(respond: Respond, prepared: PreparedTrials, event: StoredEvent) -> JudgeTrial:
    question = question_of(prepared.definition)
    prompt = build_prompt(question, generation_parts(event.for_scoring()))
    request = ModelRequest(
        prepared.access.model.id,
        (Message("system", prompt.system), Message("user", prompt.user)),
        Generation(use_cache=False, timeout_seconds=_CALL_SECONDS, max_retries=0),
        role=ModelRole.JUDGE,
    )
    try:
        reply = await respond(prepared.access.model, request)
    except (ProviderError, UnsupportedParameterError) as error:
        return JudgeTrial(event, None, error.message, None)
    cost = None if reply.cost_usd is None else Decimal(reply.cost_usd)
    reading = read_reply(question, reply.text, finish_reason=reply.finish_reason)
    if isinstance(reading, Judgement):
        return JudgeTrial(event, reading, None, cost)
    return JudgeTrial(event, None, reading.message, cost)
