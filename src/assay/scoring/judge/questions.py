"""What a judge may be asked.

    Question
    ├── Rubric      criteria, answered on one scale
    │     ├── BooleanScale      pass or fail
    │     ├── NumericScale      a number, within bounds if there are any
    │     └── CategoricalScale  one option, or several
    ├── Checklist   several criteria, each met or not; weighted, and some of them gates
    └── Pairwise    which of two answers is better, asked in both orders

A definition that cannot be asked or scored is refused when it is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from assay.scoring.errors import JudgeQuestionError

MAX_OPTIONS: Final = 100
MAX_ITEMS: Final = 50
_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,126}[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class BooleanScale:
    """Pass or fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericScale:
    """A number."""

    minimum: float | None = None
    """Inclusive, as is ``maximum``."""
    maximum: float | None = None
    step: float | None = None
    """Told to the judge; what it answers is never rounded (P§3.1)."""

    def __post_init__(self) -> None:
        for name in ("minimum", "maximum", "step"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise JudgeQuestionError(f"`{name}` is {value}; it must be a finite number.", param=name)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise JudgeQuestionError(
                f"The minimum {self.minimum:g} is above the maximum {self.maximum:g}.", param="minimum"
            )
        if self.step is not None and self.step <= 0:
            raise JudgeQuestionError(f"`step` is {self.step:g}; it must be above 0.", param="step")


@dataclass(frozen=True, slots=True)
class Option:
    """A category."""

    key: str
    label: str = ""
    """What it means, for the judge; the key itself when empty."""
    score: float | None = None
    """What choosing it is worth; all options have one, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalScale:
    """One of the options or, with ``multiple``, any number of them and at least one."""

    options: tuple[Option, ...]
    multiple: bool = False

    def __post_init__(self) -> None:
        _check_keys((option.key for option in self.options), most=MAX_OPTIONS, what="option")
        scores = [option.score for option in self.options if option.score is not None]
        if scores and len(scores) < len(self.options):
            raise JudgeQuestionError("Some options have a score and others none; give all of them one, or none.")
        if not all(math.isfinite(score) for score in scores):
            raise JudgeQuestionError("The score of an option must be a finite number.", param="options")

    @property
    def scored(self) -> bool:
        """Whether the options are worth something."""
        return self.options[0].score is not None


Scale = BooleanScale | NumericScale | CategoricalScale


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """Criteria, and the scale on which they are answered."""

    criteria: str
    scale: Scale = BooleanScale()
    allows_na: bool = False
    """Whether "not applicable" is an answer."""

    def __post_init__(self) -> None:
        _check_criteria(self.criteria)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckItem:
    """One criterion of a checklist."""

    id: str
    criteria: str
    weight: float = 1.0
    """At least 0; 0 is reported and counts for nothing, unless the item is a gate."""
    gate: bool = False
    """Whether a checklist that does not meet it scores 0, whatever else is met."""

    def __post_init__(self) -> None:
        _check_criteria(self.criteria)
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise JudgeQuestionError(f"The weight of '{self.id}' is {self.weight}; it must be at least 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    """Criteria that are each met or not; the score is the met share of the weights."""

    items: tuple[CheckItem, ...]
    criteria: str = ""
    """What holds for all items."""
    allows_na: bool = False
    """Whether an item may be "not applicable"; it then drops out of the weights."""

    def __post_init__(self) -> None:
        _check_keys((item.id for item in self.items), most=MAX_ITEMS, what="checklist item")
        if not any(item.weight > 0 for item in self.items):
            raise JudgeQuestionError("No item has a weight above 0, so that no score can be computed.", param="items")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairwise:
    """Which of two answers is better.

    It is asked in both orders, because judges favour a place: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench
    and Chatbot Arena", arXiv 2306.05685, section 3.4.
    """

    criteria: str
    allows_tie: bool = True
    """Whether the judge may call a tie. Orders that contradict each other are one in any case."""

    def __post_init__(self) -> None:
        _check_criteria(self.criteria)


Question = Rubric | Checklist | Pairwise


def fold_word(text: str) -> str:
    """A word as replies are compared with it: without case, and with one kind of joint."""
    return re.sub(r"[\s_-]+", "_", text.strip().casefold())


def _check_criteria(criteria: str) -> None:
    if not criteria.strip():
        raise JudgeQuestionError("The criteria are blank; say what the judge decides by.", param="criteria")


def _check_keys(keys: Iterable[str], *, most: int, what: str) -> None:
    found = list(keys)
    if not 1 <= len(found) <= most:
        raise JudgeQuestionError(f"There are {len(found)} {what}s; give 1 to {most}.")
    for key in found:
        if not _KEY.fullmatch(key):
            raise JudgeQuestionError(
                f"'{key[:64]}' cannot name a {what}: use up to 128 letters, digits, `_` and `-`, with a letter or "
                "digit at both ends."
            )
    if len({fold_word(key) for key in found}) < len(found):
        raise JudgeQuestionError(f"Two {what}s have the same name; names differ by more than case, `_` and `-`.")
