"""Built-in scorers, for tasks without a grader of their own.

A scorer is built once per task and called once per sample. It compares the extracted answer with the target; ``scores``
says what a sample can come to.

| family | metrics | a match is |
|---|---|---|
| classification, multiple_choice | exact_match | the same choice; without choices, the same normalized label |
| qa | exact_match, f1 | equal after SQuAD normalization; F1 of the shared tokens; the best over several golds |
| numeric | numeric_match | within the tolerance |
| math | exact_match | the same by computer algebra |
| summarization | rouge1, rouge2, rougeL, rougeLsum, bleu, chrf | shared words and characters, see ``overlap`` |
| transcription | wer, cer (lower is better) | the same words and characters, see ``transcripts`` |

The answers of semantic_similarity tasks are embedded first; see ``similarity``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from assay.scoring.choices import index_choices
from assay.scoring.errors import ScoreValueError, UnsupportedFamilyError
from assay.scoring.mathematics import MathReader
from assay.scoring.mathworker import Verdict
from assay.scoring.normalization import normalize_label, normalize_squad
from assay.scoring.numbers import find_last_number, parse_number
from assay.scoring.overlap import OverlapScorer
from assay.scoring.scores import (
    NO_TARGET,
    AnswerFault,
    Score,
    Scored,
    ScoredOutput,
    Scorer,
    Unscored,
    UnscoredReason,
    as_score_value,
    read_golds,
)
from assay.scoring.transcripts import TranscriptScorer


class Family(StrEnum):
    """Task types that have a built-in scorer."""

    CLASSIFICATION = "classification"
    MULTIPLE_CHOICE = "multiple_choice"
    QA = "qa"
    NUMERIC = "numeric"
    MATH = "math"
    SUMMARIZATION = "summarization"
    TRANSCRIPTION = "transcription"


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


_MUST_HAVE_GRADER: Final = frozenset({"custom", "llm_judge"})


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
        case Family.SUMMARIZATION:
            return OverlapScorer()
        case Family.TRANSCRIPTION:
            return TranscriptScorer()
        case _ if task_type in _MUST_HAVE_GRADER:
            message = f"A task of type '{task_type}' has no scoring rule of its own; give it a grader."
        case _:
            built_in = ", ".join(Family)
            message = f"Task type '{task_type}' has no built-in scorer (there are: {built_in}); give it a grader."
    raise UnsupportedFamilyError(message, data={"task_type": task_type})


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
            return NO_TARGET
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
            return NO_TARGET
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
            return NO_TARGET
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
        golds = read_golds(output.target)
        if not golds:
            return NO_TARGET
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
