"""A judge: a question, the models that answer it, how often, and with which settings.

Its version is a digest of all that bears on its judgements, so that a calibration can belong to just one judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from assay.kit.json import canonical_bytes
from assay.scoring.errors import JudgeQuestionError
from assay.scoring.judge.judgements import Reading
from assay.scoring.judge.prompts import PROMPT_VERSION, Order
from assay.scoring.judge.questions import Pairwise, Question
from assay.scoring.judge.voting import Vote, join_orders, take_vote

MAX_MODELS: Final = 10
MAX_REPEATS: Final = 25


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that a judge makes."""

    model_no: int
    repeat: int
    """From 0; repeats of one request are cached apart."""
    order: Order


@dataclass(frozen=True, slots=True)
class PanelVote:
    """What a judge comes to."""

    reading: Reading
    by_model: tuple[Vote, ...]
    """What each model's repeats come to."""
    panel: Vote
    """What the models come to together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A question and who answers it."""

    question: Question
    models: tuple[str, ...] = ("auto",)
    """One, or a panel of several."""
    repeats: int = 1
    """How often each model is asked; an odd number has a majority more often."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Generation settings of its requests, JSON-ready."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.models) <= MAX_MODELS:
            raise JudgeQuestionError(f"A judge has 1 to {MAX_MODELS} models, not {len(self.models)}.", param="models")
        if len(set(self.models)) < len(self.models):
            raise JudgeQuestionError("A model is named twice; use `repeats` to ask one model again.", param="models")
        if not 1 <= self.repeats <= MAX_REPEATS:
            raise JudgeQuestionError(f"`repeats` is {self.repeats}; it must be 1 to {MAX_REPEATS}.", param="repeats")

    def asks(self) -> list[Ask]:
        """Every request that one judgement takes: models × repeats, twice for a pair."""
        orders = tuple(Order) if isinstance(self.question, Pairwise) else (Order.CANDIDATE_FIRST,)
        return [
            Ask(model_no, repeat, order)
            for model_no in range(len(self.models))
            for repeat in range(self.repeats)
            for order in orders
        ]

    def decide(self, readings: Sequence[Reading]) -> PanelVote:
        """What the replies come to.

        Args:
            readings: One for each of `asks`, in their order.

        Raises:
            ValueError: Their number is another one.
        """
        asks = self.asks()
        if len(readings) != len(asks):
            raise ValueError(f"{len(readings)} readings of {len(asks)} requests")
        joined = list(readings)
        if isinstance(self.question, Pairwise):
            joined = [join_orders(readings[place], readings[place + 1]) for place in range(0, len(readings), 2)]
        by_model = tuple(
            take_vote(self.question, joined[start : start + self.repeats])
            for start in range(0, len(joined), self.repeats)
        )
        panel = take_vote(self.question, [vote.reading for vote in by_model])
        return PanelVote(panel.reading, by_model, panel)

    def version(self, models: Sequence[str] | None = None) -> str:
        """Sixteen hexadecimal digits that differ for judges that differ.

        Args:
            models: What its models resolved to, in their order; themselves by default.
        """
        parts = {
            "prompt": PROMPT_VERSION,
            "kind": type(self.question).__name__,
            "scale": type(getattr(self.question, "scale", None)).__name__,
            "question": asdict(self.question),
            "models": list(self.models if models is None else models),
            "repeats": self.repeats,
            "settings": dict(self.settings),
        }
        return hashlib.sha256(canonical_bytes(parts)).hexdigest()[:16]
