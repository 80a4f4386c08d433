"""What scorers share: what they look at, and what a sample can come to.

- **Scored**, with a number for each of the scorer's metrics. An answer that is missing or cannot be read counts as
  wrong, 0, because the model did not answer; ``fault`` says so.
- **Unscored**, with a reason: there was nothing to compare with, because the row has no target or one that cannot be
  what the task asks for (a word for a number, a choice that is not among the choices). That is the data's fault, so it
  is no 0 and enters no mean.
- A sample whose model call or extraction failed never gets here; it has failed, and is counted apart from both. A
  comparison that itself fails raises, and its sample has failed likewise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, cast

from assay.kit import json
from assay.scoring.errors import ScoreValueError


class UnscoredReason(StrEnum):
    """Why there was nothing to compare an answer with."""

    NO_TARGET = "no_target"
    INVALID_TARGET = "invalid_target"


class AnswerFault(StrEnum):
    """Why an answer counts as wrong without a comparison."""

    NOT_EXTRACTED = "not_extracted"
    NOT_A_CHOICE = "not_a_choice"
    NOT_A_NUMBER = "not_a_number"
    NOT_AN_EXPRESSION = "not_an_expression"


@dataclass(frozen=True, slots=True)
class ScoredOutput:
    """What a scorer looks at for one sample."""

    output_text: str
    """The model's whole output."""
    extracted_output: str | None
    """The answer found in it (the whole output when the task has no extraction rule); None when none was found."""
    target: str | None
    """The rendered target; None, and likewise blank text, when the row has none."""
    choices: Sequence[str] | None = None
    """The task's or row's choices. A tuple is fastest."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The sample was compared."""

    scores: dict[str, float]
    """Metric id to a finite number."""
    fault: AnswerFault | None = None
    expected: str | None = None
    """Label families: the target's label."""
    predicted: str | None = None
    """Label families: the answer's label; None when it is no label."""
    statistics: Mapping[str, tuple[int, ...]] | None = None
    """Counts from which a metric of the whole task is made (see ``pooling``), by their kind."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """There was nothing to compare with."""

    reason: UnscoredReason
    message: str
    """For people: what is wrong with the target."""


Score = Scored | Unscored


class Scorer(Protocol):
    """A scorer, ready to be called for every sample of a task."""

    @property
    def version(self) -> str:
        """Name and number of the rules, stored with each score; the number grows when the same input may score anew."""
        ...

    @property
    def metric_ids(self) -> tuple[str, ...]:
        """Keys of ``Scored.scores``, the main one first."""
        ...

    @property
    def blocks(self) -> bool:
        """Whether a score may take seconds, so that an event loop must ask for it in a thread."""
        ...

    def score(self, output: ScoredOutput) -> Score:
        """Score one sample."""
        ...


NO_TARGET: Final = Unscored(UnscoredReason.NO_TARGET, "The row has no target.")


def as_score_value(value: object) -> float:
    """A grader's or user's value as a score; True and False are 1 and 0.

    Raises:
        ScoreValueError: It is no number, or not a finite one.
    """
    if isinstance(value, bool):
        return 1.0 if value else 0.0
    if not isinstance(value, int | float):
        raise ScoreValueError(f"A score must be a number, not a {type(value).__name__}.")
    try:
        number = float(value)
    except OverflowError as exc:
        raise ScoreValueError("The score is too large for a number.") from exc
    if not math.isfinite(number):
        raise ScoreValueError(f"A score must be a finite number, not {number}.")
    return number


def read_golds(target: str | None) -> list[str]:
    """The golds in a target; text that is no JSON array of strings is itself the one gold, and blank golds are none."""
    if target is None:
        return []
    strings = _read_json_strings(target.strip())
    golds = [target] if strings is None else strings
    return [gold for gold in golds if gold.strip()]


def _read_json_strings(text: str) -> list[str] | None:
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    items = cast("list[Any]", value)
    return items if all(isinstance(item, str) for item in items) else None
