"""Evaluators that ask a model: one call for an entry and a turn, and what its reply or its fault comes to (P§3.5).

| what happens | then |
|---|---|
| a readable reply | scored, or not applicable |
| a score out of bounds; the output limit; a prompt that is too long | skipped |
| an unreadable reply | again at once; after three, failed |
| refused connections, 5xx, timeouts, rate limits | again after a pause; after three, failed |
| a key that is wrong or may not, no quota, no such model | failed, and the evaluator switches itself off |

A reply that nobody can read is never a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from assay.core.evaluators.access import JudgeAccess, JudgeTools
from assay.core.evaluators.types import Definition, OutputKind, TargetKind
from assay.core.online.batches import Work
from assay.core.online.breakers import BreakerRule
from assay.core.online.programs import ended_with
from assay.core.online.types import Ended, Finding, ModelUse, Outcome, Postponed, Reason
from assay.gateway.errors import (
    ContextLengthError,
    ProviderAccessError,
    ProviderError,
    ProviderNotFoundError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
    RetryableProviderError,
    UnsupportedParameterError,
)
from assay.gateway.gateway import Gateway
from assay.gateway.types import Generation, Message, ModelReply, ModelRequest, ModelRole
from assay.kit.clock import utc_now
from assay.scoring.judge import (
    BooleanScale,
    CategoricalScale,
    FailureKind,
    Judgement,
    JudgePrompt,
    NumericScale,
    Option,
    Part,
    Rubric,
    Scale,
    Unreadable,
    build_prompt,
    read_reply,
)
from assay.scoring.online import Event, event_input, event_output, render

CALL_SECONDS = 120.0
"""Of one attempt; with three attempts, the contract's six minutes in all (P§3.5)."""
LONGEST_WAIT = timedelta(minutes=10)
"""That a provider may ask for."""
MAX_DETAIL_CHARACTERS = 2000
_SKIPS = {
    FailureKind.OUTPUT_LIMIT: Reason.OUTPUT_LIMIT_EXCEEDED,
    FailureKind.OUT_OF_BOUNDS: Reason.SCORE_OUT_OF_BOUNDS,
}
_NO_CHAT_MARKS = ("not a chat model", "does not support chat")


@dataclass(frozen=True, slots=True)
class JudgeRules:
    """How judges are retried."""

    pauses: Sequence[timedelta] = (timedelta(seconds=10), timedelta(seconds=20))
    """Before each further attempt."""
    breaker: BreakerRule = field(default_factory=BreakerRule)

    @property
    def attempts(self) -> int:
        """Turns of an entry."""
        return len(self.pauses) + 1


@dataclass(frozen=True, slots=True)
class Judges:
    """What judging needs."""

    gateway: Gateway
    tools: JudgeTools
    rules: JudgeRules = JudgeRules()


@dataclass(frozen=True, slots=True)
class Turn:
    """What one call came to."""

    result: Ended | Postponed
    answered: bool
    """Whether the provider was there."""
    faulty: bool
    """Whether it was not; a refusal is neither."""


class Asker:
    """Makes the calls.

    Args:
        judges: Gateway and rules.
    """

    def __init__(self, judges: Judges) -> None:
        self._gateway = judges.gateway
        self._rules = judges.rules
        self._without_schema: set[str] = set()
        """Models whose provider refuses a schema for the reply; the words of the prompt ask for the same."""

    async def ask(self, work: Work, access: JudgeAccess) -> Turn:
        """One turn of an entry."""
        started = utc_now()
        question = question_of(work.definition)
        prompt = build_prompt(question, material_of(work))
        try:
            reply = await self._call(access, prompt)
        except (ProviderError, UnsupportedParameterError) as error:
            return self._fault(work, access, error, started)
        use = _use(access, reply)
        reading = read_reply(question, reply.text, finish_reason=reply.finish_reason)
        if isinstance(reading, Judgement):
            ended = ended_with(work, _finding(reading), started)
            return Turn(replace(ended, use=use), answered=True, faulty=False)
        return Turn(self._unreadable(work, reading, use, started), answered=True, faulty=False)

    async def _call(self, access: JudgeAccess, prompt: JudgePrompt) -> ModelReply:
        identity = access.model.identity
        if identity not in self._without_schema:
            try:
                return await self._request(access, prompt, text={"format": prompt.response_format})
            except ContextLengthError:
                raise
            except (UnsupportedParameterError, RequestRejectedError):
                reply = await self._request(access, prompt, text=None)
                self._without_schema.add(identity)
                return reply
        return await self._request(access, prompt, text=None)

    async def _request(self, access: JudgeAccess, prompt: JudgePrompt, *, text: dict[str, Any] | None) -> ModelReply:
        # Attempts are the ledger's: they outlive this process, and are counted there.
        generation = Generation(text=text, use_cache=False, timeout_seconds=CALL_SECONDS, max_retries=0)
        messages = (Message("system", prompt.system), Message("user", prompt.user))
        request = ModelRequest(access.model.id, messages, generation, role=ModelRole.JUDGE)
        return await self._gateway.respond_with(access.model, request)

    def _unreadable(self, work: Work, reading: Unreadable, use: ModelUse, started: datetime) -> Ended | Postponed:
        skip = _SKIPS.get(reading.kind)
        if skip is None and not self._is_last(work):
            return Postponed(entry_id=work.entry.id, due_at=utc_now(), counts_as_attempt=True, use=use)
        return Ended(
            entry_id=work.entry.id,
            outcome=Outcome.FAILED if skip is None else Outcome.SKIPPED,
            reason=skip or Reason.UNPARSABLE_RESPONSE,
            detail=reading.message[:MAX_DETAIL_CHARACTERS],
            use=use,
            started_at=started,
        )

    def _fault(
        self, work: Work, access: JudgeAccess, error: ProviderError | UnsupportedParameterError, started: datetime
    ) -> Turn:
        faulty = isinstance(error, RetryableProviderError) and not isinstance(error, RateLimitedError)
        if isinstance(error, RetryableProviderError) and not self._is_last(work):
            due_at = utc_now() + self._pause(work, error.retry_after)
            postponed = Postponed(entry_id=work.entry.id, due_at=due_at, counts_as_attempt=True)
            return Turn(postponed, answered=False, faulty=faulty)
        too_long = isinstance(error, ContextLengthError)
        ended = Ended(
            entry_id=work.entry.id,
            outcome=Outcome.SKIPPED if too_long else Outcome.FAILED,
            reason=reason_of(error),
            detail=error.message[:MAX_DETAIL_CHARACTERS],
            key_id=access.key_id,
            started_at=started,
        )
        return Turn(ended, answered=too_long, faulty=faulty)

    def _is_last(self, work: Work) -> bool:
        return work.entry.attempts + 1 >= self._rules.attempts

    def _pause(self, work: Work, retry_after: float | None) -> timedelta:
        asked = timedelta(seconds=min(retry_after or 0.0, LONGEST_WAIT.total_seconds()))
        return max(self._rules.pauses[work.entry.attempts], asked)


def reason_of(error: ProviderError | UnsupportedParameterError) -> Reason:
    """The contract's word for a fault (P§3.5)."""
    match error:
        case ContextLengthError():
            return Reason.CONTEXT_WINDOW_EXCEEDED
        case RateLimitedError():
            return Reason.PROVIDER_KEY_RATE_LIMITED
        case QuotaExhaustedError():
            return Reason.PROVIDER_KEY_QUOTA_EXCEEDED
        case ProviderAccessError():
            denied = error.status == 403
            return Reason.PROVIDER_KEY_PERMISSION_DENIED if denied else Reason.PROVIDER_KEY_INVALID
        case ProviderNotFoundError() | RequestRejectedError() if _cannot_chat(error.message):
            return Reason.MODEL_NOT_SUPPORTED
        case ProviderNotFoundError():
            return Reason.MODEL_NOT_FOUND
        case RetryableProviderError():
            return Reason.PROVIDER_UNAVAILABLE
        case _:
            return Reason.REQUEST_REJECTED


def question_of(definition: Definition) -> Rubric:
    """What a judge is asked."""
    config = definition.output_config
    return Rubric(
        criteria=definition.config["prompt"],
        scale=_scale(definition.output_kind, config),
        allows_na=bool(config.get("allows_na")),
    )


def material_of(work: Work) -> list[Part]:
    """What a judge sees: a generation's input, tools and output, or each step of a trace or session."""
    if work.entry.target is TargetKind.GENERATION:
        return generation_parts(work.event)
    parts: list[Part] = []
    for place, event in enumerate((stored.for_scoring() for stored in work.unit), start=1):
        name = event.event.removeprefix("$ai_").capitalize()
        text = "\n\n".join(filter(None, (render(event_input(event)), render(event_output(event)))))
        if text:
            parts.append(Part(f"Step {place} ({name})", text))
    return parts or [Part("Steps", "")]


def generation_parts(event: Event) -> list[Part]:
    """What a judge sees of a generation: its input, tools and output."""
    tools = event.properties.get("$ai_tools")
    return [
        Part("Input", render(event_input(event))),
        *([Part("Tools", render(tools))] if tools else []),
        Part("Output", render(event_output(event))),
    ]


def _scale(kind: OutputKind, config: Any) -> Scale:
    match kind:
        case OutputKind.NUMERIC:
            return NumericScale(minimum=config.get("min"), maximum=config.get("max"), step=config.get("step"))
        case OutputKind.CATEGORICAL:
            options = tuple(Option(option["key"], option["label"]) for option in config["options"])
            return CategoricalScale(options=options, multiple=config.get("selection_mode") == "multiple")
        case _:
            return BooleanScale()


def _finding(judgement: Judgement) -> Finding:
    return Finding(
        reasoning=judgement.reasoning,
        applicable=judgement.applicable,
        verdict=judgement.passed,
        score=judgement.score,
        categories=judgement.categories,
    )


def _use(access: JudgeAccess, reply: ModelReply) -> ModelUse:
    return ModelUse(
        model=access.model.upstream,
        provider=access.model.provider.name.partition(":")[0],
        key_id=access.key_id,
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        cost_usd=None if reply.cost_usd is None else Decimal(reply.cost_usd),
    )


def _cannot_chat(message: str) -> bool:
    lowered = message.lower()
    return any(mark in lowered for mark in _NO_CHAT_MARKS)
