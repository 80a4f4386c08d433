"""What asking a judge came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from assay.gateway.types import Usage
from assay.scoring.judge import Judge, Judgement, JudgePrompt, Order, PanelVote, Reading, Vote

MAX_KEPT_REPLY: Final = 16_000
MAX_KEPT_PROMPT: Final = 100_000
"""Characters of each that are kept with what was judged."""
_CUT: Final = "… [cut]"


@dataclass(frozen=True, slots=True)
class JudgeReply:
    """One reply to one request, readable or not."""

    model: str
    """As resolved."""
    repeat: int
    order: Order
    attempt: int
    """From 0; a reply that cannot be read is asked for again."""
    text: str
    finish_reason: str | None
    reading: Reading
    usage: Usage
    cost_usd: Decimal | None
    cached: bool


@dataclass(frozen=True, slots=True)
class JudgeOutcome:
    """A judge's decision and all that led to it."""

    judge: Judge
    version: str
    """Of the judge, with its models resolved."""
    models: Sequence[str]
    prompts: Sequence[JudgePrompt]
    """One, or one for each order of a pair."""
    vote: PanelVote
    replies: Sequence[JudgeReply]

    @property
    def reading(self) -> Reading:
        """The judgement, or why there is none."""
        return self.vote.reading

    @property
    def cost_usd(self) -> Decimal | None:
        """What the replies cost; None when no price is known."""
        known = [reply.cost_usd for reply in self.replies if reply.cost_usd is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def agreement(self) -> float | None:
        """Of the panel's models, or of the one model's repeats."""
        votes = self.vote.by_model
        return self.vote.panel.agreement if len(votes) > 1 else next(iter(votes)).agreement

    def record(self) -> dict[str, Any]:
        """Everything, JSON-ready, as it is kept with what was judged. Long texts are cut."""
        cost = self.cost_usd
        return {
            "judge_version": self.version,
            "models": list(self.models),
            "model_calls": len(self.replies),
            "cost_usd": None if cost is None else float(cost),
            "agreement": self.agreement,
            **describe_reading(self.reading),
            "by_model": [
                {"model": model, **_describe_vote(vote)}
                for model, vote in zip(self.models, self.vote.by_model, strict=True)
            ],
            "prompts": [
                {"system": _cut(prompt.system, MAX_KEPT_PROMPT), "user": _cut(prompt.user, MAX_KEPT_PROMPT)}
                for prompt in self.prompts
            ],
            "shortened": any(prompt.shortened for prompt in self.prompts),
            "replies": [_describe_reply(reply) for reply in self.replies],
        }


def describe_reading(reading: Reading) -> dict[str, Any]:
    """A judgement's fields that say something, or the failure; JSON-ready."""
    if not isinstance(reading, Judgement):
        return {"failure": reading.kind.value, "message": reading.message}
    verdict: dict[str, Any] = {
        "passed": reading.passed,
        "score": reading.score,
        "categories": None if reading.categories is None else list(reading.categories),
        "items": None if reading.items is None else {item: outcome.value for item, outcome in reading.items.items()},
        "preference": None if reading.preference is None else reading.preference.value,
        "swaps_agree": reading.swaps_agree,
    }
    said = {name: value for name, value in verdict.items() if value is not None}
    return {"applicable": reading.applicable, **said, "reasoning": reading.reasoning}


def _describe_vote(vote: Vote) -> dict[str, Any]:
    described = {**describe_reading(vote.reading), "voters": vote.voters, "readable": vote.readable}
    described.update(agreement=vote.agreement, spread=vote.spread)
    return described


def _describe_reply(reply: JudgeReply) -> dict[str, Any]:
    failed = {} if isinstance(reply.reading, Judgement) else {"failure": reply.reading.kind.value}
    return {
        "model": reply.model,
        "repeat": reply.repeat,
        "order": reply.order.value,
        "attempt": reply.attempt,
        "text": _cut(reply.text, MAX_KEPT_REPLY),
        "finish_reason": reply.finish_reason,
        **failed,
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + _CUT
