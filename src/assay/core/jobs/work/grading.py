"""Answers as scores, from 0 to 1: by the eval spec, by comparison with what is expected, or by a judge (O§3.5, O§4.6).

An answer that cannot be graded has no score, which is not the same as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from assay.core.jobs.work.answering import generation
from assay.core.jobs.work.faults import FaultCode, JobFaultError
from assay.core.jobs.work.ledger import Ledger
from assay.core.jobs.work.target import Case, Target, as_object, as_text
from assay.gateway.types import Message, ModelRequest, ModelRole
from assay.scoring.evalspec import EvalSpec, read_spec, score_answer
from assay.scoring.judge import Judgement, NumericScale, Part, Rubric, build_prompt, read_reply

READINGS = 3
"""How often a judge is asked at most until its reply can be read."""


@dataclass(frozen=True, slots=True)
class Grade:
    """What an answer is worth."""

    score: float | None
    """0 to 1; None when it could not be graded."""
    reason: str = ""
    dimensions: Mapping[str, float] = field(default_factory=dict[str, float])
    """Points by part."""


class Grader(Protocol):
    """Grades answers."""

    @property
    def name(self) -> str:
        """How, for reports."""
        ...

    async def grade(self, key: str, case: Case, output: Any, /) -> Grade:
        """What an answer is worth; ``key`` names the answer in the ledger."""
        ...


@dataclass(frozen=True, slots=True)
class SpecGrader:
    """By the agent's eval spec."""

    spec: EvalSpec
    name: str = "eval spec"

    async def grade(self, key: str, case: Case, output: Any, /) -> Grade:
        """Compare the fields with what is expected of them."""
        if case.expected is None:
            return Grade(None, "Nothing is expected of this case.")
        score = score_answer(self.spec, output, case.expected)
        return Grade(score.total, dimensions=score.dimensions)


@dataclass(frozen=True, slots=True)
class MatchGrader:
    """By equality with what is expected, whatever the case and white space."""

    name: str = "exact match"

    async def grade(self, key: str, case: Case, output: Any, /) -> Grade:
        """1 or 0."""
        if case.expected is None:
            return Grade(None, "Nothing is expected of this case.")
        right = _folded(output) == _folded(case.expected)
        return Grade(float(right), dimensions={"match": 100.0 * right})


@dataclass(frozen=True, slots=True)
class JudgeGrader:
    """By a judge that is told the agent's criteria."""

    ledger: Ledger
    model: str
    question: Rubric
    timeout_seconds: float
    name: str = "judge"

    async def grade(self, key: str, case: Case, output: Any, /) -> Grade:
        """Ask until the reply can be read, three times at most."""
        parts = [Part("Input", case.text), Part("Output", as_text(output))]
        if case.expected is not None:
            parts.insert(1, Part("Reference", as_text(case.expected)))
        prompt = build_prompt(self.question, parts)
        reason = ""
        for attempt in range(READINGS):
            request = ModelRequest(
                model=self.model,
                messages=(Message("system", prompt.system), Message("user", prompt.user)),
                generation=generation(self.timeout_seconds),
                role=ModelRole.JUDGE,
            )
            answer = await self.ledger.ask(f"judge/{key}/{attempt}", request)
            if not answer.ok:
                return Grade(None, f"The judge could not be asked: {answer.error}")
            reading = read_reply(self.question, answer.text, finish_reason=answer.finish_reason)
            if isinstance(reading, Judgement):
                points = {} if reading.score is None else {"correctness": 100 * reading.score}
                return Grade(reading.score, reading.reasoning, points)
            reason = f"The judge's reply could not be read: {reading.message}"
        return Grade(None, reason)


def choose_grader(
    ledger: Ledger, target: Target, *, judge_model: str, timeout_seconds: float, prefer_judge: bool = False
) -> Grader:
    """How a job's answers are graded: by what is expected of the cases, else by the agent's criteria.

    Args:
        ledger: Asks the judge.
        target: What the job works on.
        judge_model: Id in the catalog, or ``auto``.
        timeout_seconds: Of one attempt of a judge.
        prefer_judge: Judge whenever there are criteria.

    Raises:
        JobFaultError: Nothing is expected, and there are no criteria.
    """
    judged = bool(target.criteria)
    expected = any(case.expected is not None for case in target.cases)
    if judged and (prefer_judge or not expected):
        rules = "\n".join(f"{number}. {rule}" for number, rule in enumerate(target.criteria, 1))
        about = f"The task: {target.description}\n\n" if target.description else ""
        criteria = (
            f"{about}How correct is the output? 1 is fully correct, 0 is not correct at all. Judge substance, not "
            f"style, by these rules:\n{rules}"
        )
        question = Rubric(criteria=criteria, scale=NumericScale(minimum=0, maximum=1))
        return JudgeGrader(ledger, judge_model, question, timeout_seconds)
    if expected:
        spec = read_spec(
            target.output_fields,
            structure_weight=target.structure_weight,
            consistency_rules=target.consistency_rules,
        )
        structured = any(as_object(case.expected) for case in target.cases)
        return SpecGrader(spec) if spec is not None and structured else MatchGrader()
    raise JobFaultError(
        FaultCode.NO_CRITERIA,
        "Nothing says what a good answer is: give the dataset expected outputs, or the agent evaluation_criteria "
        'such as {"correctness": ["…"]}.',
    )


def _folded(value: Any) -> str:
    return " ".join(as_text(value).casefold().split())
