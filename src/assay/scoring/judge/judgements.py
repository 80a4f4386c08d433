"""What a judge's reply comes to: a judgement, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class ItemOutcome(StrEnum):
    """Of one item of a checklist."""

    MET = "met"
    NOT_MET = "not_met"
    NOT_APPLICABLE = "not_applicable"


class Preference(StrEnum):
    """Which of two answers is better."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"
    TIE = "tie"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A judge's answer. Besides ``reasoning``, just the field of the question's kind is set."""

    reasoning: str = ""
    """May be empty; nothing is decided by it."""
    applicable: bool = True
    """False for "not applicable"; then no other field is set."""
    passed: bool | None = None
    score: float | None = None
    """Within the bounds."""
    categories: tuple[str, ...] | None = None
    """Keys, each once, in the order of the options."""
    items: Mapping[str, ItemOutcome] | None = None
    """By item, in the order of the checklist."""
    preference: Preference | None = None
    swaps_agree: bool | None = None
    """Whether both orders of a pair led to the same preference; None before they are joined."""

    @property
    def verdict(self) -> Hashable:
        """What two judgements must share to agree."""
        items = None if self.items is None else tuple(self.items.items())
        return (self.applicable, self.passed, self.score, self.categories, items, self.preference)


class FailureKind(StrEnum):
    """Why there is no judgement. None of these is ever a score."""

    EMPTY = "empty"
    """The reply is blank."""
    OUTPUT_LIMIT = "output_limit"
    """The model stopped at its output limit; what it had said so far does not count."""
    FILTERED = "filtered"
    """The provider withheld the reply."""
    TRUNCATED = "truncated"
    """The reply ends inside of its JSON object."""
    TOO_LONG = "too_long"
    """The reply is longer than any that is read."""
    NO_OBJECT = "no_object"
    """The reply holds no JSON object that answers the question."""
    WRONG_FORM = "wrong_form"
    """The object lacks a field, or holds a value that the question does not allow."""
    OUT_OF_BOUNDS = "out_of_bounds"
    """The score lies outside of the question's bounds."""
    CONTRADICTORY = "contradictory"
    """The reply answers twice, and not alike."""
    NO_MAJORITY = "no_majority"
    """The readable replies do not agree enough."""
    TOO_FEW_READABLE = "too_few_readable"
    """Half of the replies or more are unreadable."""
    CALL_FAILED = "call_failed"
    """The model could not be asked."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No judgement, and why."""

    kind: FailureKind
    message: str
    """For people; quotes little or nothing of the reply."""


Reading = Judgement | Unreadable
