"""Runs that ask each prompt several times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.evals import Evals, question_rows, working

from assay.core.runs.repeated import ks_up_to
from assay.core.runs.types import RunStatus
from assay.scoring.clusters import clustered_mean
from assay.scoring.repeats import mean_pass_at_k, mean_pass_hat_k

WHOLE_GROUP = """
def grade_batch(samples):
    return [float(sample["repeat"]) for sample in samples]
"""


async def test_repeats_are_samples_of_their_own(evals: Evals) -> None:
    asked = Counter[str]()

    def reply(prompt: str, body: Mapping[str, Any]) -> str:
        # The first item is answered rightly in every other repeat, the second always, the third never.
        asked[prompt] += 1
        number = int(prompt.split("answer=")[1])
        return str(number) if number == 1 or (number == 0 and asked[prompt] % 2) else "no"

    evals.models.behaviour.reply = reply
    suite_id = await evals.suite(question_rows(3))
    async with working(evals):
        run = await evals.finished(suite_id, repeats=4, generation_concurrency=1)
        again = await evals.finished(suite_id, repeats=4)
    assert run.status is RunStatus.COMPLETED, run.error
    assert (run.total, run.completed) == (12, 12)
    await evals.check_counts(run.id)
    samples = await evals.samples(run.id)
    places = [(sample.sample_index, sample.repeat_no) for sample in samples]
    assert places == [(index, repeat) for index in range(3) for repeat in range(4)]
    scores = [sample.scores["exact_match"] for sample in samples]

    metrics = (run.metrics or {})["by_task"]["t"]
    expected = clustered_mean(scores, [sample.sample_index for sample in samples])
    assert expected is not None
    assert expected.interval is not None
    described = metrics["intervals"]["exact_match"]
    assert (described["n"], described["clusters"], described["method"]) == (12, 3, "clustered_student_t")
    assert (described["low"], described["high"]) == pytest.approx(expected.interval)
    passes = [[score == 1.0 for score in scores[start : start + 4]] for start in (0, 4, 8)]
    found = metrics["repeats"]["metrics"]["exact_match"]
    assert metrics["repeats"]["k"] == 4
    for k in (1, 2, 3, 4):
        assert found["pass_at_k"][str(k)]["value"] == pytest.approx(mean_pass_at_k(passes, k).mean)
        assert found["pass_hat_k"][str(k)]["value"] == pytest.approx(mean_pass_hat_k(passes, k).mean)
    assert found["mean_of_k"]["4"]["value"] == pytest.approx(0.5)
    # Each repeat has an entry of its own in the cache.
    assert evals.models.stats.requests == 12
    assert [sample.output_text for sample in await evals.samples(again.id)] == [
        sample.output_text for sample in samples
    ]


async def test_failed_repeats_leave_their_item_out(evals: Evals) -> None:
    def reply(prompt: str, body: Mapping[str, Any]) -> str:
        return prompt.split("answer=")[1]

    evals.models.behaviour.reply = reply
    grader = {"type": "python", "source": "def grade(sample, item):\n    return 1 / (1 - sample['repeat'])"}
    suite_id = await evals.suite(question_rows(2), {"type": "custom", "grader": grader})
    async with working(evals):
        run = await evals.finished(suite_id, repeats=3)
    assert (run.completed, run.failed) == (4, 2)
    found = (run.metrics or {})["by_task"]["t"]["repeats"]["metrics"]["score"]
    assert found["mean_of_k"]["3"] == {
        "value": None, "items": 0, "left_out": 2, "low": None, "high": None, "level": 0.95
    }  # fmt: skip
    assert "pass_at_k" not in found, "scores of -1 are no passes"


async def test_graders_of_whole_groups_see_all_repeats(evals: Evals) -> None:
    grader = {"type": "python", "contract": "batch", "source": WHOLE_GROUP}
    suite_id = await evals.suite(question_rows(2), {"type": "custom", "grader": grader})
    async with working(evals):
        run = await evals.finished(suite_id, repeats=2)
    assert [sample.scores["score"] for sample in await evals.samples(run.id)] == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("repeats", "ks"),
    [(1, [1]), (3, [1, 2, 3]), (8, [1, 2, 3, 4, 5, 8]), (20, [1, 2, 3, 4, 5, 8, 16, 20])],
)
def test_which_k_are_reported(repeats: int, ks: list[int]) -> None:
    assert ks_up_to(repeats) == ks
