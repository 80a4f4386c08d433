"""Comparing runs, and models of a run, on the same items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.evals import Evals, question_rows, working

from assay.core.runs.comparison import ComparisonRequest, RunComparison, compare_runs
from assay.core.runs.errors import ItemsDifferError, RunInputError, RunStateError
from assay.scoring.verdicts import Verdict


async def compared(evals: Evals, **request: Any) -> RunComparison:
    async with evals.runtime.sessions() as session:
        return await compare_runs(session, evals.principal, ComparisonRequest(**request))


def reply(prompt: str, body: Mapping[str, Any]) -> str:
    """`good` is always right, `bad` for multiples of 3, `mixed` in every other repeat."""
    number = int(prompt.split("answer=")[1].split()[0])
    right = {"good": True, "bad": number % 3 == 0, "mock": True}[body["model"]]
    return str(number) if right else "no"


async def test_two_models_of_a_run(evals: Evals) -> None:
    evals.models.behaviour.reply = reply
    suite_id = await evals.suite(question_rows(12))
    async with working(evals):
        run = await evals.finished(suite_id, models=["openai/good", "openai/bad"], repeats=2)
    found = await compared(evals, run_id=run.id, model="openai/good", baseline_model="openai/bad")
    [task] = found.tasks
    assert (task.metric, task.unscored, task.unpaired) == ("exact_match", 0, 0)
    assert (task.baseline_mean, task.candidate_mean) == (pytest.approx(4 / 12), 1.0)
    result = task.result.comparison
    # Repeats enter by their mean: 12 items, of which 8 differ, all one way. p = 2 / 2^8.
    assert (result.n, result.p, result.verdict) == (12, 2 / 256, Verdict.BETTER)
    assert result.difference == pytest.approx(8 / 12)
    other = await compared(evals, run_id=run.id, model="openai/bad", baseline_model="openai/good", metric="f1")
    assert other.tasks[0].result.comparison.verdict is Verdict.WORSE
    for wrong, message in (
        ({}, "say which by `model`"),
        ({"model": "openai/good"}, "say which by `baseline_model`"),
        ({"model": "openai/other", "baseline_model": "openai/bad"}, "no model 'openai/other'"),
        ({"model": "openai/good", "baseline_model": "openai/good"}, "Both sides are the same"),
        ({"model": "openai/good", "baseline_model": "openai/bad", "task_id": "x"}, "Not both sides have a task 'x'"),
        ({"model": "openai/good", "baseline_model": "openai/bad", "metric": "x"}, "has a number of the metric 'x'"),
    ):
        with pytest.raises(RunInputError, match=message):
            await compared(evals, run_id=run.id, **wrong)


async def test_runs_of_different_prompts_on_the_same_rows(evals: Evals) -> None:
    evals.models.behaviour.reply = reply
    rows = question_rows(6)
    # The same rows in another order, one of them twice in both.
    first = await evals.suite([*rows, rows[2]], {"prompt_template": "Answer: {{question}}"})
    second = await evals.suite([rows[2], *reversed(rows)], {"prompt_template": "Say it. {{question}}"})
    fewer = await evals.suite(rows[:4], {"id": "t"}, {"id": "u"})
    async with working(evals):
        one = await evals.finished(first, models=["openai/bad"])
        two = await evals.finished(second, models=["openai/good"])
        three = await evals.finished(fewer, models=["openai/good"])
    [task] = (await compared(evals, run_id=two.id, baseline_run_id=one.id)).tasks
    # Of rows 0 to 5 and a second 2, `bad` is right for 0 and 3.
    assert (task.result.comparison.n, task.baseline_mean, task.candidate_mean) == (7, pytest.approx(2 / 7), 1.0)
    with pytest.raises(ItemsDifferError, match="Only one side has the task u"):
        await compared(evals, run_id=three.id, baseline_run_id=one.id)
    with pytest.raises(ItemsDifferError, match="4 are on both sides, 0 only in the run and 3 only in the baseline"):
        await compared(evals, run_id=three.id, baseline_run_id=one.id, task_id="t")
    [task] = (await compared(evals, run_id=three.id, baseline_run_id=one.id, common_only=True)).tasks
    assert (task.result.comparison.n, task.unpaired) == (4, 3)


async def test_runs_that_have_not_completed(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(2))
    run_id = await evals.start(suite_id)
    with pytest.raises(RunStateError, match="Only completed runs"):
        await compared(evals, run_id=run_id, baseline_run_id=run_id)
