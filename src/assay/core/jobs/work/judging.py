"""``judge_scoring``: outputs that are there get a score, by criteria or by what is expected (O§3.5)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from assay.core.datasets.models import DatasetItemRow
from assay.core.jobs.models import TraceRecordRow
from assay.core.jobs.types import Decision
from assay.core.jobs.work.faults import FaultCode, JobFaultError
from assay.core.jobs.work.grading import Grade, choose_grader
from assay.core.jobs.work.job import Work, mean_dimensions
from assay.core.jobs.work.ledger import complete_all
from assay.core.jobs.work.reports import between, cell, points, spent
from assay.core.jobs.work.target import as_object
from assay.db.session import transaction
from assay.gateway.types import ModelRole
from assay.kit.clock import utc_now
from assay.scoring.paired import paired_difference

SAMPLE: Final = 50
"""Outputs that are scored unless the job says how many (O§3.5)."""
REASON_BELOW: Final = 0.5
_SHOWN: Final = 10


async def judge_outputs(work: Work) -> None:
    """Score the outputs, and write each score to its dataset item.

    Raises:
        JobFaultError: There are no outputs, no criteria or no model, or not a single score.
    """
    with_output = [number for number, case in enumerate(work.target.cases) if case.output not in (None, "")]
    if len(with_output) < max(1, work.parameters.min_items):
        raise JobFaultError(
            work.target.code_without_cases,
            f"There are {len(with_output)} outputs to score. Set result.parameters.dataset to a dataset whose items "
            "have outputs: an inference or an uploaded_outputs_setup job makes one.",
        )
    chosen = with_output
    if work.parameters.max_items is None and len(with_output) > SAMPLE:
        chosen = sorted(random.Random(work.parameters.seed).sample(with_output, SAMPLE))
    grades = await _grade(work, chosen)
    scores = [grade.score for grade in grades if grade.score is not None]
    if not scores:
        raise JobFaultError(FaultCode.NO_MODEL, f"None of {len(chosen)} outputs could be scored: {grades[0].reason}")
    await _store(work, chosen, grades)
    await _finish(work, chosen, grades, scores, found=len(with_output))


async def _grade(work: Work, chosen: Sequence[int]) -> list[Grade]:
    target, parameters = work.target, work.parameters
    judge = ""
    if target.criteria:
        judge = await work.resolve(parameters.judge_model or target.analyzer_model, ModelRole.JUDGE)
    grader = choose_grader(
        work.ledger, target, judge_model=judge, timeout_seconds=parameters.timeout_seconds, prefer_judge=True
    )
    if judge:
        await work.estimate([(judge, ModelRole.JUDGE, len(chosen))])
    done = 0

    async def grade(number: int) -> Grade:
        nonlocal done
        case = target.cases[number]
        found = await grader.grade(f"output/{number}", case, case.output)
        done += 1
        await work.progress("scoring", done, len(chosen))
        return found

    return await complete_all(grade(number) for number in chosen)


async def _store(work: Work, chosen: Sequence[int], grades: Sequence[Grade]) -> None:
    """Write scores to the dataset items or the trace records that the outputs came from."""
    records = {
        UUID(record): grade.score
        for number, grade in zip(chosen, grades, strict=True)
        if (record := work.target.cases[number].record) is not None and grade.score is not None
    }
    found = {
        UUID(item): grade
        for number, grade in zip(chosen, grades, strict=True)
        if (item := work.target.cases[number].item) is not None and grade.score is not None
    }
    async with transaction(work.ledger.sessions) as session:
        await work.locked(session)
        wanted = select(DatasetItemRow).where(DatasetItemRow.id.in_(found)).order_by(DatasetItemRow.id)
        for row in await session.scalars(wanted.with_for_update()):
            grade = found[row.id]
            more: dict[str, Any] = {"correctness": grade.score}
            if grade.score is not None and grade.score < REASON_BELOW and grade.reason:
                more["correctness_reason"] = grade.reason
            row.details, row.updated_at = {**as_object(row.details), **more}, utc_now()
        traced = select(TraceRecordRow).where(TraceRecordRow.id.in_(records)).order_by(TraceRecordRow.id)
        for record in await session.scalars(traced.with_for_update()):
            record.score = 100 * records[record.id]


async def _finish(
    work: Work, chosen: Sequence[int], grades: Sequence[Grade], scores: Sequence[float], *, found: int
) -> None:
    mean = sum(scores) / len(scores)
    errors = [grade.reason for grade in grades if grade.score is None]
    await work.add_iteration(
        0,
        "baseline",
        score=100 * mean,
        decision=Decision.KEEP,
        description=f"{len(scores)} outputs scored.",
        dimensions=mean_dimensions([grade.dimensions for grade in grades]) or {"correctness": 100 * mean},
    )
    result: dict[str, Any] = {
        "spans_found": found,
        "spans_selected": len(chosen),
        "spans_evaluated": len(scores),
        "spans_failed": len(errors),
        "total_spans": found,
        "errors": errors[:20],
        "avg_correctness": mean,
        "min": min(scores),
        "max": max(scores),
        "score_scale": "fraction",
        "partial": bool(errors),
    }
    values = {"baseline_score": 100 * mean, "report_markdown": _report(work, chosen, grades, scores)}
    await work.write(values, result=result)


def _report(work: Work, chosen: Sequence[int], grades: Sequence[Grade], scores: Sequence[float]) -> str:
    mean = paired_difference([0.0] * len(scores), scores)
    known = "" if mean is None else f"{points(mean.mean)} points{between(mean.interval)}"
    lines = [
        f"# Scores: {work.target.agent_name or 'outputs'}",
        "",
        f"**{known}** on average over {len(scores)} outputs. Not scored: {len(grades) - len(scores)}. "
        f"Spent: {spent(work)}.",
        "",
        "## The lowest",
        "",
        "| Output | Score | Why |",
        "|---|---|---|",
    ]
    ranked = sorted(
        (place for place, grade in enumerate(grades) if grade.score is not None),
        key=lambda place: grades[place].score or 0.0,
    )
    for place in ranked[:_SHOWN]:
        case, grade = work.target.cases[chosen[place]], grades[place]
        lines.append(f"| {cell(case.text[:80])} | {points(grade.score or 0.0)} | {cell(grade.reason[:200])} |")
    return "\n".join([*lines, ""])
