"""``prompt_tuning``: a search for a better prompt, on the job's cases (O§3.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from assay.core.jobs.types import Decision
from assay.core.jobs.work.answering import Lane, answer_case
from assay.core.jobs.work.evolving import evolve
from assay.core.jobs.work.faults import FaultCode, JobFaultError
from assay.core.jobs.work.grading import Grade, Grader, choose_grader
from assay.core.jobs.work.job import Work, mean_dimensions
from assay.core.jobs.work.ledger import complete_all
from assay.core.jobs.work.proposing import propose, reflect
from assay.core.jobs.work.reports import report_tuning, round_text
from assay.core.jobs.work.target import Proposer, as_text
from assay.core.targets.service import store_proposal
from assay.core.targets.types import SuggestionStatus
from assay.db.session import transaction
from assay.gateway.types import ModelRole
from assay.scoring.optimization import Brief, Outcome, Proposal, Round, SearchSettings, Setting, search, split_items

TUNED_LABEL = "tuned"
"""Label of a prompt that a job made and nobody has taken up yet."""


@dataclass(slots=True)
class _Tuning:
    work: Work
    model: str
    analyzer: str
    grader: Grader
    width: int
    grades: dict[tuple[str, int], Grade] = field(default_factory=dict[tuple[str, int], Grade])
    outputs: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])

    async def evaluate(self, prompt: str, cases: Sequence[int], /) -> list[float | None]:
        """Answer and grade cases with a prompt."""
        grades = await complete_all(self._grade(prompt, case) for case in cases)
        return [grade.score for grade in grades]

    async def _grade(self, prompt: str, number: int) -> Grade:
        target = self.work.target
        lane, case = Lane(self.model, prompt, target.function), target.cases[number]
        answer = await answer_case(
            self.work.ledger, lane, number, case, timeout_seconds=self.work.parameters.timeout_seconds
        )
        self.outputs[prompt, number] = answer.text
        grade = Grade(None, answer.error or "")
        if answer.ok:
            grade = await self.grader.grade(f"{lane.key}/{number}", case, answer.text)
        self.grades[prompt, number] = grade
        return grade

    async def propose(self, brief: Brief, /) -> list[Proposal]:
        """Have prompts thought of."""
        parameters = self.work.parameters
        if parameters.proposer is Proposer.GEPA:
            seed = parameters.seed + brief.round

            async def improve(place: int, prompt: str, train: Sequence[tuple[int, float | None]]) -> Proposal | None:
                outputs = [self.outputs.get((prompt, case), "") for case, _ in train]
                return await reflect(
                    self.work, brief.round, place, prompt=prompt, train=train, outputs=outputs, model=self.analyzer
                )

            return await evolve(brief, evaluate=self.evaluate, reflect=improve, width=self.width, seed=seed)
        outputs = [self.outputs.get((brief.prompt, case), "") for case, _ in brief.train]
        return await propose(self.work, brief, model=self.analyzer, outputs=outputs, width=self.width)

    async def note(self, finished: Round, /) -> None:
        """Write a round down as an iteration."""
        chosen = finished.chosen
        await self.work.progress("rounds", finished.number, max(finished.number, self.work.job.num_iterations))
        if chosen is None:
            await self.work.log(f"Round {finished.number}: {round_text(finished)}")
            return
        await self.work.add_iteration(
            finished.number,
            f"iter_{finished.number:03d}",
            score=100 * (finished.score or 0.0),
            decision=Decision.KEEP if finished.kept else Decision.DISCARD,
            description=f"{chosen.description} ({round_text(finished)})".strip(),
            code=chosen.prompt,
            dimensions=self.dimensions(chosen.prompt),
            candidates=[
                {
                    "description": candidate.proposal.description,
                    "train_score": None if candidate.train is None else 100 * candidate.train,
                    "copied_cases": candidate.copied,
                }
                for candidate in finished.candidates
            ],
        )

    def dimensions(self, prompt: str) -> dict[str, float]:
        """Mean points of a prompt by dimension."""
        return mean_dimensions([grade.dimensions for (tried, _), grade in self.grades.items() if tried == prompt])


async def tune_prompt(work: Work) -> None:
    """Search, and write down what was found.

    Raises:
        JobFaultError: The job lacks a prompt, cases, criteria or a model.
    """
    tuning = await _prepare(work)
    target, parameters = work.target, work.parameters
    split = split_items([case.key for case in target.cases], seed=parameters.seed)
    answers = [None if case.expected is None else as_text(case.expected) for case in target.cases]
    setting = Setting(split, [case.text for case in target.cases], answers)
    settings = SearchSettings(
        rounds=max(0, min(work.job.num_iterations, 1000)),
        patience=parameters.patience,
        alpha=parameters.alpha,
        seed=parameters.seed,
    )
    await work.log(
        f"Split {len(target.cases)} cases into {len(split.train)} to learn from, {len(split.validation)} to decide by "
        f"and {len(split.test)} sealed ones."
    )
    scores = await tuning.evaluate(target.prompt, (*split.train, *split.validation))
    if not any(score is not None for score in scores):
        raise JobFaultError(FaultCode.NOT_ENOUGH_DATA, f"No answer of the prompt could be graded: {_why(tuning)}")
    await _note_baseline(tuning, split.validation or split.train)
    outcome = await search(
        target.prompt, setting, settings, evaluate=tuning.evaluate, propose=tuning.propose, note=tuning.note
    )
    await _finish(tuning, outcome, sizes=(len(split.train), len(split.validation), len(split.test)))


async def _prepare(work: Work) -> _Tuning:
    target, parameters = work.target, work.parameters
    if not target.prompt.strip():
        raise JobFaultError(
            FaultCode.NO_TARGET,
            "There is no prompt to tune: give the agent one (POST /api/prompts/), or set result.parameters.prompt.",
        )
    if len(target.cases) < max(1, parameters.min_items):
        raise JobFaultError(
            FaultCode.NOT_ENOUGH_DATA,
            f"There are {len(target.cases)} cases; tuning needs {max(1, parameters.min_items)} or more. Activate a "
            "dataset of the agent, or set result.parameters.dataset.",
        )
    judge = parameters.judge_model or ""
    grader = choose_grader(work.ledger, target, judge_model=judge, timeout_seconds=parameters.timeout_seconds)
    if grader.name == "judge":
        judge = await work.resolve(judge, ModelRole.JUDGE)
        grader = choose_grader(work.ledger, target, judge_model=judge, timeout_seconds=parameters.timeout_seconds)
    model = await work.resolve(next(iter(parameters.models), target.model))
    analyzer = await work.resolve(target.analyzer_model, ModelRole.JUDGE)
    width = max(1, min(work.job.candidates_per_iteration, 10))
    rounds = max(0, min(work.job.num_iterations, 1000))
    cases = len(target.cases)
    calls = [(model, ModelRole.CANDIDATE, cases + rounds * width * cases // 2)]
    calls += [(analyzer, ModelRole.JUDGE, rounds * width)]
    if grader.name == "judge":
        calls.append((judge, ModelRole.JUDGE, calls[0][2]))
    await work.estimate(calls)
    return _Tuning(work, model, analyzer, grader, width)


async def _note_baseline(tuning: _Tuning, cases: Sequence[int]) -> None:
    prompt = tuning.work.target.prompt
    known = [score for case in cases if (score := tuning.grades[prompt, case].score) is not None]
    score = 100 * sum(known) / len(known) if known else None
    await tuning.work.write({"baseline_score": score, "best_score": score})
    await tuning.work.add_iteration(
        0,
        "baseline",
        score=score or 0.0,
        decision=Decision.KEEP,
        description="The prompt as it was.",
        code=prompt,
        dimensions=tuning.dimensions(prompt),
    )


async def _finish(tuning: _Tuning, outcome: Outcome, *, sizes: tuple[int, int, int]) -> None:
    work, sealed = tuning.work, outcome.sealed
    baseline, best = outcome.baseline_score, outcome.baseline_score
    if outcome.improved and sealed is not None:
        # Both numbers are of the sealed cases: those of the validation cases chose the winner, and flatter it.
        baseline, best = sealed.baseline, sealed.winner
    result: dict[str, Any] = {
        "status": "improved" if outcome.improved else "no_improvement",
        "score_scale": "fraction",
        "grader": tuning.grader.name,
        "rounds": len(outcome.rounds),
        "stopped_early": outcome.stopped_early,
        "cases": dict(zip(("train", "validation", "test"), sizes, strict=True)),
    }
    if sealed is not None:
        interval = sealed.gain.interval
        result["sealed_test"] = {
            "n": sealed.gain.n,
            "baseline": sealed.baseline,
            "winner": sealed.winner,
            "gain": sealed.gain.mean,
            "interval_95": None if interval is None else list(interval),
        }
    if outcome.improved:
        result |= await _keep(tuning, outcome, baseline, best)
    values = {
        "baseline_score": None if baseline is None else 100 * baseline,
        "best_score": None if best is None else 100 * best,
        "improvement": None if baseline is None or best is None else 100 * (best - baseline),
        "best_code": outcome.winner,
        "report_markdown": report_tuning(work, outcome, sizes=sizes, model=tuning.model, grader=tuning.grader.name),
    }
    await work.write(values, result=result)


async def _keep(tuning: _Tuning, outcome: Outcome, before: float | None, after: float | None) -> dict[str, Any]:
    """Store the winner as the agent's next prompt, and a suggestion to take it up."""
    work = tuning.work
    if work.target.agent is None:
        return {}
    prompt_id, suggestion_id = work.made_id("prompt"), work.made_id("suggestion")
    last = next(finished for finished in reversed(outcome.rounds) if finished.kept)
    iteration_id = work.made_id(f"iteration/{last.number}")
    async with transaction(work.ledger.sessions) as session:
        await work.locked(session)
        version = await store_proposal(
            session,
            work.owner,
            agent_id=UUID(work.target.agent),
            prompt_id=prompt_id,
            suggestion_id=suggestion_id,
            prompt={
                "iteration_id": iteration_id,
                "label": TUNED_LABEL,
                "system_prompt": outcome.winner,
                "model": tuning.model[:128],
            },
            suggestion={
                "job_id": work.job.id,
                "iteration_id": iteration_id,
                "status": SuggestionStatus.PROPOSED.value,
                "title": "Use the tuned prompt",
                "description": last.chosen.description if last.chosen else "",
                "change_type": "prompt",
                "score_before": None if before is None else 100 * before,
                "score_after": None if after is None else 100 * after,
            },
        )
    return {"prompt_id": str(prompt_id), "new_version": version, "suggestion_id": str(suggestion_id)}


def _why(tuning: _Tuning) -> str:
    return next((grade.reason for grade in tuning.grades.values() if grade.reason), "nothing is expected of them.")
