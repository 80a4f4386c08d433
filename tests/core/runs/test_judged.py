"""Runs whose samples a model judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.evals import Evals, question_rows, working

from assay.core.runs.types import RunStatus, SampleStatus

GRADER = {
    "type": "judge",
    "criteria": "The output equals the reference.",
    "allows_na": True,
    "context_template": "Row {{question}}",
    "metric_id": "right",
    "models": ["openai/judge"],
}


def judged(prompt: str, body: Mapping[str, Any]) -> str:
    """The candidate answers as always; the judge by the number of the row."""
    if body["model"] != "judge":
        return prompt.split("answer=")[1]
    number = int(prompt.split("\nRow q")[1].split()[0])
    return [
        '{"reasoning": "equal", "outcome": "pass"}',
        'Well: {"reasoning": "differs", "outcome": "fail"}',
        '{"outcome": "n/a"}',
        "It passes.",
        '{"outcome": "pass"} {"outcome": "fail"}',
    ][number]


async def test_what_replies_make_of_samples(evals: Evals) -> None:
    evals.models.behaviour.reply = judged
    suite_id = await evals.suite(question_rows(5), {"type": "llm_judge", "grader": GRADER})
    async with working(evals):
        run = await evals.finished(suite_id)
    assert run.status is RunStatus.COMPLETED, run.error
    samples = await evals.samples(run.id)
    assert [sample.scores for sample in samples] == [{"right": 1.0}, {"right": 0.0}, {}, {}, {}]
    assert [sample.status for sample in samples[2:]] == [
        SampleStatus.COMPLETED,
        SampleStatus.FAILED,
        SampleStatus.FAILED,
    ]
    assert [(sample.error or {}).get("code") for sample in samples[3:]] == ["judge_no_object", "judge_contradictory"]
    assert samples[3].output_text == "3", "the answer is kept"
    record = samples[0].judge or {}
    assert record["models"] == ["openai/judge"]
    assert record["passed"] is True
    assert "Row q0" in record["prompts"][0]["user"]
    assert "[begin Reference " in record["prompts"][0]["user"]
    assert record["replies"][0]["text"] == '{"reasoning": "equal", "outcome": "pass"}'
    metrics = (run.metrics or {})["by_task"]["t"]
    # Failed and not applicable are neither 0 nor counted.
    assert metrics["metrics"] == {"right": 0.5}
    assert (metrics["intervals"]["right"]["n"], metrics["intervals"]["right"]["unscored"]) == (2, 1)


async def test_a_judge_that_failed_is_asked_again_by_a_rerun(evals: Evals) -> None:
    evals.models.behaviour.reply = judged
    suite_id = await evals.suite(question_rows(4)[3:], {"type": "llm_judge", "grader": GRADER})
    async with working(evals):
        run = await evals.finished(suite_id, generation={"use_cache": False})
        assert run.failed == 1
        evals.models.behaviour.reply = lambda prompt, body: '{"outcome": "pass"}' if body["model"] == "judge" else "x"
        await evals.rerun_failed(run.id)
        run = await evals.until(run.id, RunStatus.COMPLETED)
    assert (run.completed, run.failed) == (1, 0)


async def test_rows_without_the_target_that_a_judge_needs(evals: Evals) -> None:
    rows = [{"question": "a answer=1", "answer": None}]
    grader: dict[str, Any] = {"type": "judge", "criteria": "Better?", "pairwise": {}, "models": ["openai/judge"]}
    suite_id = await evals.suite(rows, {"type": "llm_judge", "grader": grader})
    async with working(evals):
        run = await evals.finished(suite_id)
    [sample] = await evals.samples(run.id)
    assert sample.status is SampleStatus.COMPLETED
    assert sample.scores == {}
    assert (sample.judge or {})["unscored"] == "no_target"
    assert evals.models.stats.requests == 1, "nobody is asked to judge"
