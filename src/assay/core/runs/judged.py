"""Scoring a sample by the judge of its task: what the judge sees, and what its decision makes of the sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assay.core.judging.service import JudgeCaller
from assay.core.judging.types import JudgeOutcome
from assay.core.runs.answer import Answer
from assay.core.runs.ledger import SampleResult, WorkItem
from assay.core.runs.plan import RunPlan
from assay.core.runs.types import SampleStatus
from assay.core.suites.compile import CompiledTask
from assay.core.suites.manifest.judges import JudgePlan
from assay.gateway.catalog import AUTO
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.scoring.judge import Pairwise, Part, Unreadable, scores_of


async def judge_sample(
    caller: JudgeCaller, plan: RunPlan, task: CompiledTask, item: WorkItem, answer: Answer
) -> SampleResult:
    """The sample's result. A judge that gives no judgement fails the sample, with the answer kept; it is never a 0.

    A row without a target that the judge needs is completed and unscored.
    """
    judge = task.judge
    if judge is None:
        raise ValueError(f"task {task.id} has no judge")
    values = {**answer.values, "completed_at": utc_now()}
    if item.target is None and (judge.reference or isinstance(judge.judge.question, Pairwise)):
        values["scores"] = {}
        values["judge"] = {"unscored": "no_target", "message": "The row has no target."}
        return _result(item, SampleStatus.COMPLETED, values)
    try:
        outcome = await _ask(caller, plan, judge, item, answer)
    except DomainError as error:
        values["error"] = {"code": error.code, "message": error.message}
        return _result(item, SampleStatus.FAILED, values)
    values["completed_at"] = utc_now()
    values["judge"] = outcome.record()
    reading = outcome.reading
    if isinstance(reading, Unreadable):
        values["error"] = {"code": f"judge_{reading.kind.value}", "message": reading.message}
        return _result(item, SampleStatus.FAILED, values)
    values["scores"] = scores_of(judge.judge.question, reading, judge.metric_id)
    return _result(item, SampleStatus.COMPLETED, values)


async def _ask(caller: JudgeCaller, plan: RunPlan, judge: JudgePlan, item: WorkItem, answer: Answer) -> JudgeOutcome:
    judged = answer.values.get("extracted_output") or answer.text or ""
    parts = [Part("Input", item.prompt)]
    if judge.context is not None:
        parts.append(Part("Context", _render(judge, item.dataset_row)))
    pair = None
    if isinstance(judge.judge.question, Pairwise):
        pair = (judged, item.target or "")
    else:
        if item.target is not None and judge.reference is not False:
            parts.append(Part("Reference", item.target))
        parts.append(Part("Output", judged))
    default = plan.config.judge_model or AUTO
    generation = replace(judge.generation, use_cache=judge.generation.use_cache and plan.generation.use_cache)
    models = [default if model == AUTO else model for model in judge.judge.models]
    return await caller.ask(judge.judge, parts, models=models, pair=pair, generation=generation)


def _render(judge: JudgePlan, row: Mapping[str, Any]) -> str:
    return "" if judge.context is None else judge.context.render_optional(row) or ""


def _result(item: WorkItem, status: SampleStatus, values: dict[str, Any]) -> SampleResult:
    return SampleResult(item.task_no, item.model_no, item.sample_index, status, values, item.repeat_no)
