"""``model_backtesting``: the same cases on several models, beside a baseline that is run anew (O§3.7).

Which model is recommended is decided in ``scoring.backtests``; here the cases are run and the result is written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from assay.core.jobs.types import Decision
from assay.core.jobs.work.answering import Lane, answer_case
from assay.core.jobs.work.faults import FaultCode, JobFaultError
from assay.core.jobs.work.grading import Grade, Grader, choose_grader
from assay.core.jobs.work.job import Work, mean_dimensions
from assay.core.jobs.work.ledger import Answer, complete_all
from assay.core.jobs.work.reports import between, cell, points, spent
from assay.gateway.types import ModelRole
from assay.scoring.backtests import Backtest, Measured, ModelResult, compare_models

MAX_CASES: Final = 50
"""Cases of a backtest unless the job says how many (O§3.7)."""

_Tried = tuple[Answer, Grade]


async def backtest_models(work: Work) -> None:
    """Run, compare, and write down.

    Raises:
        JobFaultError: There are no cases, criteria or models, or the baseline never answered.
    """
    lanes, grader, cases = await _prepare(work)
    done, total = 0, len(lanes) * len(cases)

    async def try_one(lane: Lane, number: int) -> _Tried:
        nonlocal done
        case = work.target.cases[number]
        answer = await answer_case(work.ledger, lane, number, case, timeout_seconds=work.parameters.timeout_seconds)
        grade = Grade(None, answer.error or "")
        if answer.ok:
            grade = await grader.grade(f"{lane.key}/{number}", case, answer.text)
        done += 1
        await work.progress("replaying", done, total)
        return answer, grade

    # Models take turns, so that a provider's slow hour is everybody's.
    tried = await complete_all(try_one(lane, number) for number in cases for lane in lanes)
    by_model = {lane.model: tried[place :: len(lanes)] for place, lane in enumerate(lanes)}
    results = [_measure(model, found) for model, found in by_model.items()]
    _check_baseline(lanes[0].model, by_model[lanes[0].model])
    backtest = compare_models(results[0], results[1:], margin=work.parameters.margin, alpha=work.parameters.alpha)
    await _finish(work, backtest, by_model)


def _check_baseline(model: str, tried: Sequence[_Tried]) -> None:
    """Raise ``JobFaultError`` when there is nothing to compare with."""
    answered = [grade for answer, grade in tried if answer.ok]
    if not answered:
        error = next((answer.error for answer, _ in tried if answer.error), "there is nothing to answer.")
        raise JobFaultError(FaultCode.NO_MODEL, f"The current model {model} answered nothing: {error}")
    if all(grade.score is None for grade in answered):
        raise JobFaultError(
            FaultCode.NOT_ENOUGH_DATA,
            f"No answer of the current model {model} could be graded: {answered[0].reason}",
        )


async def _prepare(work: Work) -> tuple[list[Lane], Grader, Sequence[int]]:
    target, parameters = work.target, work.parameters
    if len(target.cases) < max(1, parameters.min_items):
        raise JobFaultError(
            target.code_without_cases,
            f"There are {len(target.cases)} cases to replay. Activate a dataset of the agent, or set "
            "result.parameters.dataset.",
        )
    current = await work.resolve(target.model)
    named = parameters.models or target.suggested_models
    models = list(dict.fromkeys([current, *[await work.resolve(model) for model in named]]))
    if len(models) == 1:
        raise JobFaultError(
            FaultCode.NO_MODEL, "There is no model to compare with: set result.parameters.models to 1 to 10 models."
        )
    cases = range(min(len(target.cases), parameters.max_items or MAX_CASES))
    judge, timeout = parameters.judge_model or "", parameters.timeout_seconds
    grader = choose_grader(work.ledger, target, judge_model=judge, timeout_seconds=timeout)
    calls = [(model, ModelRole.CANDIDATE, len(cases)) for model in models]
    if grader.name == "judge":
        judge = await work.resolve(judge, ModelRole.JUDGE)
        grader = choose_grader(work.ledger, target, judge_model=judge, timeout_seconds=timeout)
        calls.append((judge, ModelRole.JUDGE, len(cases) * len(models)))
    await work.estimate(calls)
    return [Lane(model, target.prompt, target.function) for model in models], grader, cases


def _measure(model: str, tried: Sequence[_Tried]) -> ModelResult:
    return ModelResult(
        model=model,
        cases=[
            Measured(
                # A call that failed answered nothing, which is worth nothing (O§3.7); what a judge could not
                # grade is not known.
                score=grade.score if answer.ok else 0.0,
                answered=answer.ok,
                seconds=answer.seconds if answer.ok else None,
                cost_usd=answer.cost_usd,
            )
            for answer, grade in tried
        ],
    )


async def _finish(work: Work, backtest: Backtest, by_model: dict[str, list[_Tried]]) -> None:
    baseline, best = backtest.baseline, backtest.best_qualifying
    await _add_iterations(work, backtest, by_model)
    before, after = baseline.mean, best.mean
    total = sum(len(tried) for tried in by_model.values())
    succeeded = sum(answer.ok for tried in by_model.values() for answer, _ in tried)
    recommendations = _recommendations(backtest)
    result: dict[str, Any] = {
        "current_model": baseline.model,
        "models_tested": len(backtest.candidates),
        "spans_tested": total,
        "spans_succeeded": succeeded,
        "spans_failed": total - succeeded,
        "partial": succeeded < total,
        "score_scale": "fraction",
        "recommendations": recommendations,
        "models": {one.model: _details(one, backtest) for one in [baseline, *backtest.candidates]},
    }
    shown = {one.model: _client_shape(one, by_model[one.model]) for one in [baseline, *backtest.candidates]}
    values = {
        "baseline_score": None if before is None else 100 * before,
        "best_score": None if after is None else 100 * after,
        "improvement": None if before is None or after is None else 100 * (after - before),
        "best_code": work.target.prompt,
        "backtest_results": {**shown, "baseline": baseline.model, "recommendations": recommendations},
        "report_markdown": _report(work, backtest),
    }
    await work.write(values, result=result)


async def _add_iterations(work: Work, backtest: Backtest, by_model: dict[str, list[_Tried]]) -> None:
    """One for each model; the recommended one is kept, else the current one."""
    for position, one in enumerate([backtest.baseline, *backtest.candidates]):
        recommended = one.model == backtest.recommended or (position == 0 and backtest.recommended is None)
        await work.add_iteration(
            position,
            ("baseline" if position == 0 else one.model)[:64],
            score=100 * (one.mean or 0.0),
            decision=Decision.KEEP if recommended else Decision.DISCARD,
            description=f"{one.model}: {backtest.why(one.model)}",
            dimensions=mean_dimensions([grade.dimensions for _, grade in by_model[one.model]]),
        )


def _recommendations(backtest: Backtest) -> dict[str, Any]:
    named = {
        "top_performer": backtest.top_performer,
        "fastest": backtest.fastest,
        "cheapest": backtest.cheapest,
        "best_overall": backtest.best_overall,
    }
    return {
        "current_model": backtest.baseline.model,
        **{name: {"model": model, "reason": backtest.why(model)} for name, model in named.items() if model is not None},
        "verdict": backtest.verdict.value,
        "summary": backtest.summary,
    }


def _details(one: ModelResult, backtest: Backtest) -> dict[str, Any]:
    comparison = backtest.comparisons.get(one.model)
    latency, cost = one.mean_seconds, one.mean_cost_usd
    found: dict[str, Any] = {
        "avg_eval_score": one.mean,
        "success_rate": one.success_rate,
        "avg_latency_ms": None if latency is None else round(1000 * latency, 2),
        "avg_cost_per_request": cost,
        "scored": one.scored,
    }
    if comparison is not None:
        for name, difference in (
            ("quality", comparison.quality),
            ("latency_seconds", comparison.seconds),
            ("cost_usd", comparison.cost_usd),
        ):
            interval = None if difference is None else difference.interval
            found[f"{name}_difference"] = None if difference is None else difference.mean
            found[f"{name}_interval_95"] = None if interval is None else list(interval)
    return found


def _client_shape(one: ModelResult, tried: Sequence[_Tried]) -> dict[str, Any]:
    """Points by model, in the form in which clients report their own backtests (O§3.7)."""
    if one.success_rate == 0:
        error = next((answer.error for answer, _ in tried if answer.error), "no answer")
        return {"avg_total": 0, "error": error}
    individual = [
        {**grade.dimensions, "total": None if grade.score is None else 100 * grade.score} for _, grade in tried
    ]
    dimensions = mean_dimensions([grade.dimensions for _, grade in tried])
    mean = one.mean
    return {
        "avg_total": None if mean is None else 100 * mean,
        **dimensions,
        "count": len(tried),
        "individual_scores": individual,
    }


def _report(work: Work, backtest: Backtest) -> str:
    lines = [
        f"# Model backtest: {work.target.agent_name or 'prompt'}",
        "",
        f"**{cell(backtest.summary)}**",
        "",
        f"{len(backtest.baseline.cases)} cases, each asked of every model, also of the current one. "
        f"Spent: {spent(work)}.",
        "",
        "| Model | Score | Against the current one | Latency | Cost a request | |",
        "|---|---|---|---|---|---|",
    ]
    for one in [backtest.baseline, *backtest.candidates]:
        comparison = backtest.comparisons.get(one.model)
        difference = "–"
        if comparison is not None and comparison.quality is not None:
            quality = comparison.quality
            difference = f"{points(quality.mean, signed=True)} points{between(quality.interval)}"
        score = "–" if one.mean is None else points(one.mean)
        latency = "–" if one.mean_seconds is None else f"{1000 * one.mean_seconds:.0f} ms"
        cost = "–" if one.mean_cost_usd is None else f"${one.mean_cost_usd:.6f}"
        lines.append(
            f"| {cell(one.model)} | {score} | {difference} | {latency} | {cost} | {cell(backtest.why(one.model))} |"
        )
    return "\n".join([*lines, ""])
