"""What people look at in a run: reasons of failures, spreads of scores, what changed, what to label next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.evals import Evals, question_rows, working

from assay.core.calibration.queue import measure_agreement, next_unlabelled
from assay.core.calibration.service import put_labels
from assay.core.calibration.types import NewLabel, SubjectKind
from assay.core.runs import views
from assay.core.runs.comparison import ComparisonRequest, list_changed_items
from assay.core.runs.errors import RunInputError, RunNotFoundError, SampleNotFoundError
from assay.db.session import transaction
from assay.kit.ids import new_id


def reply(prompt: str, body: Mapping[str, Any]) -> str:
    """`good` is always right, `bad` for multiples of 3."""
    number = int(prompt.split("answer=")[1].split()[0])
    return str(number) if body["model"] == "good" or number % 3 == 0 else "no"


async def test_a_run_is_looked_at(evals: Evals) -> None:
    evals.models.behaviour.reply = reply
    evals.models.behaviour.refused = {"q4 answer=4"}
    suite_id = await evals.suite(question_rows(9))
    async with working(evals):
        run = await evals.finished(suite_id, models=["openai/good", "openai/bad"])
    who = evals.principal
    async with evals.runtime.sessions() as session:
        [failure] = await views.count_failures(session, who, run_id=run.id)
        assert (failure.code, failure.count) == ("provider_rejected_request", 2)
        assert "refused" in failure.message
        spread = await views.get_distribution(
            session, who, run_id=run.id, task_id="t", model="openai/bad", metric="exact_match"
        )
        assert spread is not None
        assert (spread.counts[0], spread.counts[-1], sum(spread.counts)) == (5, 3, 8)
        assert (spread.edges[0], spread.edges[-1]) == (0, pytest.approx(1))
        same = await views.get_distribution(
            session, who, run_id=run.id, task_id="t", model="openai/good", metric="exact_match"
        )
        assert same is not None
        assert list(same.counts) == [8]
        assert await views.get_distribution(session, who, run_id=run.id, task_id="t", model="x", metric="f1") is None
        sample = (await evals.samples(run.id, model="openai/bad", sample_indexes=[5]))[0]
        assert await views.get_sample(session, who, run_id=run.id, sample_id=sample.id) == sample
        with pytest.raises(SampleNotFoundError):
            await views.get_sample(session, who, run_id=run.id, sample_id=new_id())
        with pytest.raises(RunNotFoundError):
            await views.count_failures(session, who, run_id=new_id())
        request = ComparisonRequest(
            run_id=run.id, model="openai/bad", baseline_model="openai/good", task_id="t", common_only=True
        )
        first = await list_changed_items(session, who, request, limit=3)
        rest = await list_changed_items(session, who, request, skip=3, limit=3)
        assert (first.has_more, rest.has_more) == (True, False)
        changed = [*first.items, *rest.items]
        assert [item.prompt for item in changed] == [f"q{n} answer={n}" for n in (1, 2, 5, 7, 8)]
        assert {(item.baseline_output, item.candidate_output) for item in changed[:1]} == {("1", "no")}
        assert {(item.baseline_score, item.candidate_score) for item in changed} == {(1.0, 0.0)}
        with pytest.raises(RunInputError, match="Name the task"):
            await list_changed_items(session, who, ComparisonRequest(run_id=run.id))


async def test_everything_is_labelled_once_by_each(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(4))
    async with working(evals):
        run = await evals.finished(suite_id, models=["openai/one", "openai/two"])
    seen: set[Any] = set()
    async with transaction(evals.runtime.sessions) as session:
        for labeler, values in (("ann", 8), ("ben", 2)):
            for _ in range(values):
                found = await next_unlabelled(
                    session, evals.principal, run_id=run.id, task_id="t", metric="score", labeler=labeler
                )
                assert found is not None
                assert (labeler, found) not in seen
                seen.add((labeler, found))
                label = NewLabel(kind=SubjectKind.SAMPLE, subject_id=found, metric="score", value=1.0, labeler=labeler)
                await put_labels(session, evals.principal, [label])
        assert (
            await next_unlabelled(session, evals.principal, run_id=run.id, task_id="t", metric="score", labeler="ann")
            is None
        )
        agreement = await measure_agreement(session, evals.principal, metric="score", threshold=0.5)
        assert (agreement.labels, agreement.subjects, agreement.shared) == (10, 8, 2)
