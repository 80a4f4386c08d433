"""Built-in scorers, for tasks without a grader of their own.

A scorer is built once per task and called once per sample. It compares the extracted answer with the target. What a
sample can come to:

- **Scored**, with a number for each of the scorer's metrics. An answer that is missing or cannot be read counts as
  wrong, 0, because the model did not answer; ``fault`` says so.
- **Unscored**, with a reason: there was nothing to compare with, because the row has no target or one that cannot be
  what the task asks for (a word for a number, a choice that is not among the choices). That is the data's fault, so it
  is no 0 and enters no mean.
- A sample whose model call or extraction failed never gets here; it has failed, and is counted apart from both. A math
  comparison that itself fails raises, and its sample has failed likewise.

| family | metrics | a match is |
|---|---|---|
| classification, multiple_choice | exact_match | the same choice; without choices, the same normalized label |
| qa | exact_match, f1 | equal after SQuAD normalization; F1 of the shared tokens; the best over several golds |
| numeric | numeric_match | within the tolerance |
| math | exact_match | the same by computer algebra |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, cast

from assay.kit import json
from assay.scoring.choices import index_choices
from assay.scoring.errors import ScoreValueError, UnsupportedFamilyError
from assay.scoring.mathematics import MathReader
from assay.scoring.mathworker import Verdict
from assay.scoring.normalization import normalize_label, normalize_squad
from assay.scoring.numbers import find_last_number, parse_number


class Family(StrEnum):
    """Task types that have a built-in scorer."""

    CLASSIFICATION = "classification"
    MULTIPLE_CHOICE = "multiple_choice"
    QA = "qa"
    NUMERIC = "numeric"
    MATH = "math"


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


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an answer may be from a numeric target: ``|a - t| <= max(absolute, relative * |t|)``.

    The defaults only absorb the rounding of floating point. Raises ``ScoreValueError`` for negative or non-finite ones.
    """

    absolute: float = 1e-9
    relative: float = 1e-9

    def __post_init__(self) -> None:
        if min(as_score_value(self.absolute), as_score_value(self.relative)) < 0:
            raise ScoreValueError(f"A tolerance cannot be negative: {self}.", param="tolerance")


_MUST_HAVE_GRADER: Final = frozenset({"custom", "summarization", "semantic_similarity", "llm_judge"})
_NO_TARGET: Final = Unscored(UnscoredReason.NO_TARGET, "The row has no target.")


def scorer_for(task_type: str, *, tolerance: Tolerance | None = None) -> Scorer:
    """The built-in scorer of a task type.

    Args:
        task_type: A manifest's task type.
        tolerance: For ``numeric``; the default is tiny.

    Raises:
        UnsupportedFamilyError: The type needs a grader, or has no built-in scorer.
    """
    match task_type:
        case Family.CLASSIFICATION | Family.MULTIPLE_CHOICE:
            return LabelScorer(Family(task_type))
        case Family.QA:
            return QaScorer()
        case Family.NUMERIC:
            return NumericScorer(tolerance or Tolerance())
        case Family.MATH:
            return MathScorer(MathReader())
        case _ if task_type in _MUST_HAVE_GRADER:
            message = f"A task of type '{task_type}' has no scoring rule of its own; give it a grader."
        case _:
            built_in = ", ".join(Family)
            message = f"Task type '{task_type}' has no built-in scorer (there are: {built_in}); give it a grader."
    raise UnsupportedFamilyError(message, data={"task_type": task_type})


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


@dataclass(frozen=True, slots=True)
class LabelScorer:
    """classification and multiple_choice: is it the same label?"""

    family: Family

    @property
    def version(self) -> str:
        """See :class:`Scorer`."""
        return f"{self.family}/1"

    @property
    def metric_ids(self) -> tuple[str, ...]:
        """See :class:`Scorer`."""
        return ("exact_match",)

    @property
    def blocks(self) -> bool:
        """See :class:`Scorer`."""
        return False

    def score(self, output: ScoredOutput) -> Score:
        """See :class:`Scorer`."""
        target = output.target
        if target is None or not target.strip():
            return _NO_TARGET
        if output.choices:
            return _score_choice(output, target, output.choices)
        answer = output.extracted_output
        expected = normalize_label(target)
        if answer is None:
            return Scored({"exact_match": 0.0}, AnswerFault.NOT_EXTRACTED, expected)
        predicted = normalize_label(answer)
        return Scored({"exact_match": float(predicted == expected)}, None, expected, predicted)


def _score_choice(output: ScoredOutput, target: str, choices: Sequence[str]) -> Score:
    index = index_choices(choices)
    expected = index.find(target)
    if expected is None:
        return Unscored(UnscoredReason.INVALID_TARGET, f"The target '{target[:100]}' is none of the choices.")
    answer = output.extracted_output
    if answer is None:
        return Scored({"exact_match": 0.0}, AnswerFault.NOT_EXTRACTED, index.choices[expected])
    predicted = index.find(answer)
    if predicted is None:
        return Scored({"exact_match": 0.0}, AnswerFault.NOT_A_CHOICE, index.choices[expected])
    return Scored(
        {"exact_match": float(predicted == expected)}, None, index.choices[expected], index.choices[predicted]
    )


@dataclass(frozen=True, slots=True)
class NumericScorer:
    """numeric: is it the same number, within a tolerance?

    The target must be a number as a whole. The answer may have words around it, and then its last number counts.
    """

    tolerance: Tolerance

    @property
    def version(self) -> str:
        """See :class:`Scorer`."""
        return "numeric/1"

    @property
    def metric_ids(self) -> tuple[str, ...]:
        """See :class:`Scorer`."""
        return ("numeric_match",)

    @property
    def blocks(self) -> bool:
        """See :class:`Scorer`."""
        return False

    def score(self, output: ScoredOutput) -> Score:
        """See :class:`Scorer`."""
        target = output.target
        if target is None or not target.strip():
            return _NO_TARGET
        expected = parse_number(target)
        if expected is None:
            return Unscored(UnscoredReason.INVALID_TARGET, f"The target '{target[:100]}' is not a number.")
        if output.extracted_output is None:
            return Scored({"numeric_match": 0.0}, AnswerFault.NOT_EXTRACTED)
        answer = _read_answer(output.extracted_output)
        if answer is None:
            return Scored({"numeric_match": 0.0}, AnswerFault.NOT_A_NUMBER)
        allowed = max(self.tolerance.absolute, self.tolerance.relative * abs(expected))
        return Scored({"numeric_match": float(abs(answer - expected) <= allowed)})


@dataclass(frozen=True, slots=True)
class MathScorer:
    """math: do the answer and the target mean the same?

    The target must be an expression. The answer may have words around it; then what is boxed counts, else its last
    expression.
    """

    reader: MathReader

    @property
    def version(self) -> str:
        """See :class:`Scorer`."""
        return "math/1"

    @property
    def metric_ids(self) -> tuple[str, ...]:
        """See :class:`Scorer`."""
        return ("exact_match",)

    @property
    def blocks(self) -> bool:
        """See :class:`Scorer`."""
        return True

    def score(self, output: ScoredOutput) -> Score:
        """See :class:`Scorer`.

        Raises:
            MathTimeoutError: The comparison took too long.
            MathComparisonError: The comparison failed.
        """
        target = output.target
        if target is None or not target.strip():
            return _NO_TARGET
        if output.extracted_output is None:
            return Scored({"exact_match": 0.0}, AnswerFault.NOT_EXTRACTED)
        verdict = self.reader.compare(target, output.extracted_output)
        if verdict is Verdict.NO_TARGET_EXPRESSION:
            return Unscored(UnscoredReason.INVALID_TARGET, f"The target '{target[:100]}' is not a math expression.")
        if verdict is Verdict.NO_ANSWER_EXPRESSION:
            return Scored({"exact_match": 0.0}, AnswerFault.NOT_AN_EXPRESSION)
        return Scored({"exact_match": float(verdict is Verdict.EQUAL)})


def _read_answer(answer: str) -> float | None:
    value = parse_number(answer)
    if value is not None:
        return value
    found = find_last_number(answer)
    return None if found is None else parse_number(found)


@dataclass(frozen=True, slots=True)
class QaScorer:
    """qa: SQuAD's exact match and token F1 (Rajpurkar et al. 2016, section 6.1).

    A target that is a JSON array of strings holds several golds, and each metric takes its best over them. F1 is
    ``2PR / (P + R)`` over the tokens as multisets; if either side has no token left, it is 1 when both have none, else
    0 (SQuAD 2.0's rule).
    """

    @property
    def version(self) -> str:
        """See :class:`Scorer`."""
        return "qa/1"

    @property
    def metric_ids(self) -> tuple[str, ...]:
        """See :class:`Scorer`."""
        return ("exact_match", "f1")

    @property
    def blocks(self) -> bool:
        """See :class:`Scorer`."""
        return False

    def score(self, output: ScoredOutput) -> Score:
        """See :class:`Scorer`."""
        golds = _read_golds(output.target)
        if not golds:
            return _NO_TARGET
        if output.extracted_output is None:
            return Scored({"exact_match": 0.0, "f1": 0.0}, AnswerFault.NOT_EXTRACTED)
        answer = normalize_squad(output.extracted_output)
        exact, best = 0.0, 0.0
        for gold in golds:
            normalized = normalize_squad(gold)
            if normalized == answer:
                exact = best = 1.0
                break
            best = max(best, token_f1(answer, normalized))
        return Scored({"exact_match": exact, "f1": best})


def _read_golds(target: str | None) -> list[str]:
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


def token_f1(answer: str, gold: str) -> float:
    """F1 of the tokens that two SQuAD-normalized texts share; see :class:`QaScorer`."""
    answer_tokens, gold_tokens = answer.split(), gold.split()
    if not answer_tokens or not gold_tokens:
        return float(answer_tokens == gold_tokens)
    remaining: dict[str, int] = {}
    for token in gold_tokens:
        remaining[token] = remaining.get(token, 0) + 1
    shared = 0
    for token in answer_tokens:
        if count := remaining.get(token, 0):
            remaining[token] = count - 1
            shared += 1
    # 2PR / (P + R) with P = shared / answers and R = shared / golds, in one rounding.
    return 2 * shared / (len(answer_tokens) + len(gold_tokens))
