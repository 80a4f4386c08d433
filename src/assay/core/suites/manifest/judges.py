"""Judges in a manifest: from their form to `assay.scoring.judge`, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assay.core.suites.manifest.errors import Fault
from assay.core.suites.manifest.schema import (
    BooleanOutput,
    CategoricalOutput,
    JudgeGrader,
    JudgeOutput,
    NumericOutput,
)
from assay.gateway.generation import Generation, resolve_generation
from assay.kit.errors import InvalidError
from assay.scoring.errors import JudgeQuestionError
from assay.scoring.judge import (
    BooleanScale,
    CategoricalScale,
    CheckItem,
    Checklist,
    Judge,
    NumericScale,
    Option,
    Pairwise,
    Question,
    Rubric,
    Scale,
    metric_ids,
)
from assay.scoring.templates import Template

_SET_BY_US = ("instructions", "text", "tools", "tool_choice", "stop", "until", "prefill_think")


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """A judge that scores the samples of a task."""

    judge: Judge
    metric_id: str
    generation: Generation
    reference: bool | None
    """Whether it sees the target: always, never, or where there is one."""
    context: Template | None


def plan_judge(grader: JudgeGrader) -> JudgePlan:
    """A judge that `judge_faults` let pass, made ready."""
    settings = {name: value for name, value in (grader.generation or {}).items() if value is not None}
    return JudgePlan(
        judge=Judge(question=_question(grader), models=grader.models, repeats=grader.repeats, settings=settings),
        metric_id=grader.metric_id,
        generation=resolve_generation(settings),
        reference=grader.reference,
        context=None if grader.context_template is None else Template.parse(grader.context_template),
    )


def judge_faults(grader: JudgeGrader) -> Iterator[Fault]:
    """What is wrong with a judge, by path inside the grader."""
    kinds = [name for name in ("output", "checklist", "pairwise") if getattr(grader, name) is not None]
    if len(kinds) > 1:
        yield Fault(kinds[1], f"is given together with {kinds[0]}; a judge answers in one way")
        return
    if grader.checklist is None and grader.criteria is None:
        yield Fault("criteria", "is required: say what the judge decides by")
        return
    if grader.pairwise is not None:
        if grader.allows_na:
            yield Fault("allows_na", "is not possible in a comparison of two answers; remove it")
        if grader.reference is not None:
            yield Fault("reference", "is not used in a comparison, whose other side is the target; remove it")
    yield from _generation_faults(grader)
    try:
        Judge(question=_question(grader), models=grader.models, repeats=grader.repeats)
    except JudgeQuestionError as exc:
        yield Fault("", exc.message[:1].lower() + exc.message[1:].removesuffix("."))


def main_judge_metric(grader: JudgeGrader) -> str:
    """The metric that speaks for a judge."""
    return metric_ids(_question(grader), grader.metric_id)[0]


def judge_metric_faults(grader: JudgeGrader, wanted: Sequence[str]) -> Iterator[Fault]:
    """Metrics that the judge does not have, by path inside the task."""
    try:
        known = metric_ids(_question(grader), grader.metric_id)
    except JudgeQuestionError:
        return
    for index, metric in enumerate(wanted):
        if metric not in known:
            yield Fault(f"metrics[{index}].id", f"'{metric}' is no metric of this judge; it has {', '.join(known)}")


def _generation_faults(grader: JudgeGrader) -> Iterator[Fault]:
    for name in _SET_BY_US:
        if (grader.generation or {}).get(name) is not None:
            yield Fault(f"generation.{name}", "is set by the judge itself; remove it")
    try:
        resolve_generation(grader.generation or {})
    except InvalidError as exc:
        yield Fault(exc.param or "generation", exc.message.removesuffix("."))


def _question(grader: JudgeGrader) -> Question:
    criteria = grader.criteria or ""
    if grader.checklist is not None:
        items = tuple(
            CheckItem(id=item.id, criteria=item.criteria, weight=item.weight, gate=item.gate)
            for item in grader.checklist
        )
        return Checklist(items=items, criteria=criteria, allows_na=grader.allows_na)
    if grader.pairwise is not None:
        return Pairwise(criteria=criteria, allows_tie=grader.pairwise.allows_tie)
    return Rubric(criteria=criteria, scale=_scale(grader.output), allows_na=grader.allows_na)


def _scale(output: JudgeOutput | None) -> Scale:
    match output:
        case None | BooleanOutput():
            return BooleanScale()
        case NumericOutput():
            return NumericScale(minimum=output.min, maximum=output.max, step=output.step)
        case CategoricalOutput():
            options = tuple(Option(option.key, option.label, option.score) for option in output.options)
            return CategoricalScale(options=options, multiple=output.selection_mode == "multiple")
