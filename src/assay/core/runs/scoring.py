"""Scoring one sample after the other, in the way its task asks for.

| the task has | how a sample is scored |
|---|---|
| no grader | at once, by the built-in scorer of its type; in a thread where that may take seconds |
| a grader for single samples | in small batches, in the sandbox |
| a likeness to measure | its answer is stored first, then many are embedded in one call |
| one that asks models, or a judge | its answer is stored first, then it is graded alone, a few at a time |
| one for the whole group, or vectors | its answer is stored; the group is scored when all answers are there |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from assay.core.runs.answer import Answer
from assay.core.runs.judged import judge_sample
from assay.core.runs.judging import RunModels
from assay.core.runs.ledger import SampleResult, WorkItem
from assay.core.runs.plan import RunPlan
from assay.core.runs.recorder import ChunkProgress, Settlement
from assay.core.runs.similarity import Compared, Comparer
from assay.core.runs.types import SampleStatus
from assay.core.suites.compile import CompiledTask, GraderPlan
from assay.core.suites.manifest.schema import GraderExecution
from assay.core.suites.rendering import choices_for
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.sandbox.contract import Case, CodeFailure, GradeOutcome, Limits, ModelAccess, Sandbox
from assay.scoring.scores import Score, Scored, ScoredOutput, Scorer
from assay.scoring.similarity import Comparison, SimilarityScorer

LARGEST_GRADING = 128
GATHER_SECONDS = 0.02


class SampleScorer:
    """Scores answers as they come and hands the results on.

    Args:
        plan: The run.
        sandbox: Where graders run.
        models: What graders may ask.
        comparer: Compares answers by their meaning.
        emit: Takes each result.
        background: Where gradings run; the lane waits for all of them before it ends.
        grader_concurrency: Executions of graders that ask models at one time.
        ending: Whether the lane is about to end. What is not being graded by then is left for the next lane, with its
            answer stored.
    """

    def __init__(
        self,
        plan: RunPlan,
        *,
        sandbox: Sandbox,
        models: RunModels,
        comparer: Comparer,
        emit: Callable[[Settlement], None],
        background: asyncio.TaskGroup,
        grader_concurrency: int,
        ending: Callable[[], bool],
    ) -> None:
        self._plan = plan
        self._sandbox = sandbox
        self._models = models
        self._comparer = comparer
        self._emit = emit
        self._background = background
        self._gathering: dict[int, list[_Gradable]] = {}
        self._grader_slots = asyncio.Semaphore(grader_concurrency)
        self._scorer_slot = asyncio.Semaphore(1)
        self._ending = ending

    def submit(self, item: WorkItem, answer: Answer, chunk: ChunkProgress) -> None:
        """Score an answer that was just given; its result is emitted now or later."""
        if answer.text is None:
            self._emit(Settlement(_result(item, SampleStatus.FAILED, answer.values), chunk))
            return
        task = self._plan.tasks[item.task_no]
        if task.embedding is not None:
            self._emit(Settlement(_result(item, SampleStatus.READY_TO_SCORE, answer.values), chunk))
            return
        try:
            extracted = task.extractor.extract(answer.text)
        except DomainError as error:
            values = {**answer.values, "error": {"code": error.code, "message": error.message}}
            self._emit(Settlement(_result(item, SampleStatus.FAILED, values), chunk))
            return
        answer.values["extracted_output"] = extracted
        if task.judge is not None:
            self._emit(Settlement(_result(item, SampleStatus.READY_TO_SCORE, answer.values), None))
            self._background.create_task(self._judge_alone(task, item, answer, chunk))
        elif task.similarity is not None:
            self._emit(Settlement(_result(item, SampleStatus.READY_TO_SCORE, answer.values), None))
            self._gather(task, _Gradable(item, answer, chunk, scores_only=True))
        elif task.grader is None:
            self._score(task, _Gradable(item, answer, chunk, scores_only=False))
        elif task.grader.execution is GraderExecution.AGGREGATE:
            self._emit(Settlement(_result(item, SampleStatus.READY_TO_SCORE, answer.values), chunk))
        elif task.grader.allows_models:
            self._emit(Settlement(_result(item, SampleStatus.READY_TO_SCORE, answer.values), None))
            self._background.create_task(self._grade_alone(task, task.grader, item, answer, chunk))
        else:
            self._gather(task, _Gradable(item, answer, chunk, scores_only=False))

    def resume(self, item: WorkItem, chunk: ChunkProgress) -> None:
        """Score a sample whose answer was stored before an interruption."""
        task = self._plan.tasks[item.task_no]
        answer = Answer(item.output_text or "", {"response_id": item.response_id})
        answer.values["extracted_output"] = item.extracted_output
        if task.embedding is not None:
            self._emit(Settlement(_result(item, SampleStatus.READY_TO_SCORE, {}), chunk, scores_only=True))
        elif task.judge is not None:
            self._background.create_task(self._judge_alone(task, item, answer, chunk))
        elif task.similarity is not None:
            self._gather(task, _Gradable(item, answer, chunk, scores_only=True))
        elif task.grader is None:
            self._score(task, _Gradable(item, answer, chunk, scores_only=True))
        elif task.grader.execution is GraderExecution.AGGREGATE:
            self._emit(Settlement(_result(item, SampleStatus.READY_TO_SCORE, {}), chunk, scores_only=True))
        elif task.grader.allows_models:
            self._background.create_task(self._grade_alone(task, task.grader, item, answer, chunk))
        else:
            self._gather(task, _Gradable(item, answer, chunk, scores_only=True))

    def _score(self, task: CompiledTask, gradable: _Gradable) -> None:
        """By the built-in scorer: at once, or in a thread if that may take long."""
        if task.scorer is not None and task.scorer.blocks:
            self._background.create_task(self._score_aside(task, gradable))
        else:
            self._settle(gradable, _score_gradable(task, gradable))

    async def _score_aside(self, task: CompiledTask, gradable: _Gradable) -> None:
        async with self._scorer_slot:
            if self._ending():
                self._keep_answers([gradable])
                return
            result = await asyncio.to_thread(_score_gradable, task, gradable)
        self._settle(gradable, result)

    def _settle(self, gradable: _Gradable, result: SampleResult) -> None:
        final = _scores_of(result) if gradable.scores_only else result
        self._emit(Settlement(final, gradable.chunk, scores_only=gradable.scores_only))

    def _gather(self, task: CompiledTask, gradable: _Gradable) -> None:
        gathering = self._gathering.setdefault(gradable.item.task_no, [])
        gathering.append(gradable)
        if len(gathering) == 1:
            self._background.create_task(self._grade_gathered(task, gradable.item.task_no))

    async def _grade_gathered(self, task: CompiledTask, task_no: int) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        gathered = self._gathering.pop(task_no)
        for start in range(0, len(gathered), LARGEST_GRADING):
            batch = gathered[start : start + LARGEST_GRADING]
            if self._ending():
                self._keep_answers(batch)
                continue
            if task.similarity is not None:
                await self._compare(task, task.similarity, batch)
                continue
            for gradable, outcome in zip(batch, await self._grade(task, batch), strict=True):
                result = graded_result(gradable.item, outcome, gradable.answer.values)
                self._settle(gradable, result)

    async def _compare(self, task: CompiledTask, scorer: SimilarityScorer, batch: Sequence[_Gradable]) -> None:
        """Score answers by their likeness to the targets; those that need no model are scored without."""
        wanted = [scorer.compare(_scored_output(task, one.item, one.answer)) for one in batch]
        comparisons = [one for one in wanted if isinstance(one, Comparison)]
        compared = iter(await self._comparer.compare(scorer, comparisons) if comparisons else ())
        for gradable, one in zip(batch, wanted, strict=True):
            outcome = next(compared) if isinstance(one, Comparison) else (one, {"scorer": scorer.version})
            self._settle(gradable, _compared_result(gradable, outcome))

    def _keep_answers(self, batch: Sequence[_Gradable]) -> None:
        for gradable in batch:
            if not gradable.scores_only:
                kept = _result(gradable.item, SampleStatus.READY_TO_SCORE, gradable.answer.values)
                self._emit(Settlement(kept, None))

    async def _grade_alone(
        self, task: CompiledTask, grader: GraderPlan, item: WorkItem, answer: Answer, chunk: ChunkProgress
    ) -> None:
        async with self._grader_slots:
            if self._ending():
                return
            host = self._models.for_one_execution()
            access = ModelAccess(host, grader.max_model_calls)
            gradable = _Gradable(item, answer, chunk, scores_only=True)
            [outcome] = await self._grade(task, [gradable], models=access)
        result = graded_result(item, outcome, answer.values, judge=host.summary())
        self._emit(Settlement(_scores_of(result), chunk, scores_only=True))

    async def _judge_alone(self, task: CompiledTask, item: WorkItem, answer: Answer, chunk: ChunkProgress) -> None:
        async with self._grader_slots:
            if self._ending():
                return
            result = await judge_sample(self._models.judges, self._plan, task, item, answer)
        self._emit(Settlement(_scores_of(result), chunk, scores_only=True))

    async def _grade(
        self, task: CompiledTask, batch: Sequence[_Gradable], *, models: ModelAccess | None = None
    ) -> list[GradeOutcome]:
        grader = task.grader
        if grader is None:
            raise ValueError(f"task {task.id} has no grader")
        cases = [grading_case(task, gradable.item, gradable.answer, self._plan) for gradable in batch]
        return await self._sandbox.grade(
            grader.program,
            cases,
            metric_id=grader.metric_id,
            models=models,
            metadata=self._plan.metadata,
            limits=Limits(timeout_seconds=grader.timeout_seconds),
        )


class _Gradable:
    """An answer that waits for its grader."""

    __slots__ = ("answer", "chunk", "item", "scores_only")

    def __init__(self, item: WorkItem, answer: Answer, chunk: ChunkProgress, *, scores_only: bool) -> None:
        self.item = item
        self.answer = answer
        self.chunk = chunk
        self.scores_only = scores_only


def grading_case(task: CompiledTask, item: WorkItem, answer: Answer, plan: RunPlan) -> Case:
    """What a grader sees of a sample (R10): never the model's reasoning."""
    sample = {
        "id": str(item.id),
        "index": item.sample_index,
        "repeat": item.repeat_no,
        "task_id": task.id,
        "model": plan.models[item.model_no],
        "prompt": item.prompt,
        "output_text": answer.text,
        "extracted_output": answer.values.get("extracted_output"),
        "target": item.target,
        "response_id": answer.values.get("response_id"),
    }
    return Case(sample=sample, item={**item.dataset_row, "target": item.target})


def _score_gradable(task: CompiledTask, gradable: _Gradable) -> SampleResult:
    """By the built-in scorer. A scorer that fails leaves the sample failed, with its answer kept."""
    item, answer = gradable.item, gradable.answer
    try:
        return score_built_in(task.scorer, item, answer, extracted=answer.values["extracted_output"], task=task)
    except DomainError as error:
        values = {**answer.values, "error": {"code": error.code, "message": error.message}}
        return _result(item, SampleStatus.FAILED, values)


def score_built_in(
    scorer: Scorer | None, item: WorkItem, answer: Answer, *, extracted: str | None, task: CompiledTask
) -> SampleResult:
    """The result by a built-in scorer. Without a target there is nothing to compare: completed, and unscored."""
    if scorer is None:
        raise ValueError(f"task {task.id} has neither grader nor scorer")
    outcome = scorer.score(ScoredOutput(answer.text or "", extracted, item.target, choices_for(task, item.dataset_row)))
    return _scored_result(item, outcome, answer.values, version=scorer.version)


def _scored_output(task: CompiledTask, item: WorkItem, answer: Answer) -> ScoredOutput:
    choices = choices_for(task, item.dataset_row)
    return ScoredOutput(answer.text or "", answer.values["extracted_output"], item.target, choices)


def _compared_result(gradable: _Gradable, outcome: Compared) -> SampleResult:
    values = dict(gradable.answer.values)
    if isinstance(outcome, DomainError):
        values["error"] = {"code": outcome.code, "message": outcome.message}
        return _result(gradable.item, SampleStatus.FAILED, values)
    score, said = outcome
    result = _scored_result(gradable.item, score, values, version=said["scorer"])
    values["judge"] = {**said, **(values.get("judge") or {})}
    return result


def _scored_result(item: WorkItem, outcome: Score, values: dict[str, Any], *, version: str) -> SampleResult:
    values["completed_at"] = utc_now()
    if isinstance(outcome, Scored):
        values["scores"] = outcome.scores
        if (judge := _describe_scored(outcome)) is not None:
            values["judge"] = {"scorer": version, **judge}
    else:
        values["scores"] = {}
        values["judge"] = {"scorer": version, "unscored": outcome.reason.value, "message": outcome.message}
    return _result(item, SampleStatus.COMPLETED, values)


def _describe_scored(outcome: Scored) -> dict[str, Any] | None:
    """What a built-in scorer says besides the numbers."""
    said: dict[str, Any] = {}
    if outcome.fault is not None:
        said["fault"] = outcome.fault.value
    if outcome.statistics is not None:
        said["statistics"] = outcome.statistics
    return said or None


def graded_result(
    item: WorkItem, outcome: GradeOutcome, values: dict[str, Any], *, judge: dict[str, Any] | None = None
) -> SampleResult:
    """The result by a grader. A grader that fails leaves the sample failed, with its answer kept."""
    values = {**values, "completed_at": utc_now()}
    if isinstance(outcome, CodeFailure):
        error = {"code": f"grader_{outcome.kind.value}", "message": outcome.message, "line": outcome.line}
        values["error"] = error
        values["judge"] = judge
        return _result(item, SampleStatus.FAILED, values)
    values["scores"] = outcome.scores
    if outcome.judge is not None or judge:
        values["judge"] = {**(judge or {}), **(outcome.judge or {})}
    if outcome.extracted_output is not None:
        values["extracted_output"] = outcome.extracted_output
    return _result(item, SampleStatus.COMPLETED, values)


def _result(item: WorkItem, status: SampleStatus, values: dict[str, Any]) -> SampleResult:
    if status is SampleStatus.FAILED and "completed_at" not in values:
        values = {**values, "completed_at": utc_now()}
    return SampleResult(item.task_no, item.model_no, item.sample_index, status, values, item.repeat_no)


_SCORE_KEYS = ("extracted_output", "scores", "judge", "error", "completed_at")


def _scores_of(result: SampleResult) -> SampleResult:
    """The same result without the columns that are stored already."""
    values = {key: result.values[key] for key in _SCORE_KEYS if key in result.values}
    return replace(result, values=values)
