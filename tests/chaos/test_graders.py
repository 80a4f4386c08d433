"""Each grader contract from end to end, also when graders fail."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evals import Evals, question_rows, working
from tests.support.waiting import eventually

from assay.core.runs.types import RunStatus, SampleStatus

BATCH = """
def grade_batch(samples):
    hits = [1.0 if s["output_text"] == s["target"] else 0.0 for s in samples]
    return {"samples": hits, "metrics": {"size": len(samples), "lowest": min(hits)}}
"""
JUDGE = """
def grade(sample, item, ctx):
    reply = ctx.responses_create(input="judge answer=" + item["answer"])
    said = reply["output_text"]
    return {"scores": {"hit": 1.0 if said == sample["output_text"] else 0.0}, "judge": {"said": said}}
"""
FAILING = """
def grade(sample, item):
    if sample["index"] % 10 == 3:
        raise ValueError("no grade for " + item["answer"])
    while sample["index"] % 10 == 5:
        pass
    return {"scores": {"hit": 1.0}, "judge": {"note": "fine"}, "extracted_output": "seen"}
"""


def custom(source: str, **grader: Any) -> dict[str, Any]:
    return {
        "type": "custom",
        "target_template": "{{answer}}",
        "grader": {"source": source, "metric_id": "hit", **grader},
    }


async def test_a_sample_grader_that_fails_for_some_fails_those(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(20), custom(FAILING, timeout_seconds=1))
    async with working(evals):
        run = await evals.finished(suite_id, concurrency=8)
    assert (run.status, run.completed, run.failed) == (RunStatus.COMPLETED, 16, 4), run.error
    samples = await evals.samples(run.id)
    errors = {sample.sample_index: sample.error for sample in samples if sample.status is SampleStatus.FAILED}
    assert errors.keys() == {3, 5, 13, 15}
    assert errors[3] is not None
    assert errors[5] is not None
    assert (errors[3]["code"], errors[5]["code"]) == ("grader_exception", "grader_timeout")
    assert "no grade for 3" in errors[3]["message"]
    assert samples[3].output_text == "3"
    assert (samples[0].scores, samples[0].judge, samples[0].extracted_output) == (
        {"hit": 1.0},
        {"note": "fine"},
        "seen",
    )
    assert run.metrics is not None
    assert run.metrics["by_task"]["t"]["counts"] == {"total": 20, "completed": 16, "failed": 4, "scored": 16}
    await evals.check_counts(run.id)


async def test_a_batch_grader_sees_the_whole_group_also_after_a_rerun(evals: Evals) -> None:
    rows = question_rows(12, wrong_every=6)
    evals.models.behaviour.refused = {rows[1]["question"], rows[2]["question"]}
    suite_id = await evals.suite(rows, custom(BATCH, contract="batch"))
    async with working(evals):
        first = await evals.finished(suite_id, generation={"max_retries": 0})
        assert (first.completed, first.failed) == (10, 2), first.error
        assert first.metrics is not None
        assert first.metrics["by_task"]["t"]["metrics"] == {"hit": 0.8, "size": 10, "lowest": 0}
        evals.models.behaviour.refused = set()
        await evals.rerun_failed(first.id)
        run = await evals.until(first.id)
    assert (run.status, run.completed, run.failed) == (RunStatus.COMPLETED, 12, 0), run.error
    assert run.metrics is not None
    assert run.metrics["by_task"]["t"]["metrics"] == {"hit": pytest.approx(10 / 12), "size": 12, "lowest": 0}
    await evals.check_counts(run.id)


async def test_a_batch_grader_that_fails_fails_its_group(evals: Evals) -> None:
    source = "def grade_batch(samples):\n    return samples[999]\n"
    suite_id = await evals.suite(question_rows(7), custom(source, contract="batch"))
    async with working(evals):
        run = await evals.finished(suite_id)
    assert (run.status, run.completed, run.failed) == (RunStatus.COMPLETED, 0, 7), run.error
    assert {(sample.error or {}).get("code") for sample in await evals.samples(run.id)} == {"grader_exception"}


async def test_a_model_backed_grader(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(20, wrong_every=4), custom(JUDGE, contract="model_backed"))
    async with working(evals):
        run = await evals.finished(suite_id, judge_model="openai/judge", grader_concurrency=3)
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 20), run.error
    samples = await evals.samples(run.id)
    assert [sample.scores["hit"] for sample in samples] == [float(i % 4 != 0) for i in range(20)]
    judge = samples[1].judge
    assert judge is not None
    assert (judge["said"], judge["model_calls"], judge["models"]) == ("1", 1, ["openai/judge"])
    assert evals.models.stats.requests == 40


async def test_an_interrupted_judge_is_asked_again_and_the_candidate_is_not(evals: Evals) -> None:
    """The answers are stored before they are judged, so a retry continues with the judging."""
    rows = question_rows(6)
    suite_id = await evals.suite(rows, custom(JUDGE, contract="model_backed"))
    evals.models.behaviour.hanging = "judge"
    async with working(evals):
        run_id = await evals.start(suite_id, judge_model="openai/judge", concurrency=2)

        async def all_answered() -> bool:
            samples = await evals.samples(run_id)
            return len(samples) == 6 and all(s.status is SampleStatus.READY_TO_SCORE for s in samples)

        await eventually(all_answered)
        await evals.cancel(run_id)
        assert (await evals.until(run_id)).status is RunStatus.CANCELLED
        evals.models.behaviour.hanging = None
        evals.models.release()
        await evals.retry(run_id)
        run = await evals.until(run_id)
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 6), run.error
    assert all(evals.models.stats.prompts[row["question"]] == 1 for row in rows)
    await evals.check_counts(run_id)
