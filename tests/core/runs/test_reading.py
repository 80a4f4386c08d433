"""What is answered from a run's own row must be what its samples say."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.evals import Evals, question_rows, working

from assay.core.runs.service import get_run_overview
from assay.core.runs.types import UNSETTLED, RunOverview, SampleStatus

SAMPLES = 12


async def _overview(evals: Evals, run_id: UUID, metric: str) -> RunOverview:
    async with evals.runtime.sessions() as session:
        return await get_run_overview(session, evals.principal, run_id=run_id, metric=metric)


async def _execute(evals: Evals, statement: str, run_id: UUID) -> None:
    async with evals.runtime.sessions.begin() as session:
        await session.execute(text(statement), {"run_id": run_id})


@pytest.mark.parametrize("metric", ["exact_match", "f1", "unheard of"])
async def test_overview_of_a_completed_run_equals_its_samples(evals: Evals, metric: str) -> None:
    suite_id = await evals.suite(question_rows(SAMPLES, wrong_every=3))
    evals.models.behaviour.script = [(400, b'{"error": {"message": "no"}}')]
    async with working(evals):
        run = await evals.finished(suite_id)
    kept = asdict(await _overview(evals, run.id, metric))
    await _execute(evals, "UPDATE runs SET status = 'finalizing' WHERE id = :run_id", run.id)
    counted = asdict(await _overview(evals, run.id, metric))
    assert kept["trials"] == {"total": SAMPLES, "completed": SAMPLES - 1, "failed": 1, "errored": 1, "retried": 0}
    assert (kept["average"] is None) == (metric == "unheard of")
    assert {**counted, "run": None, "average": None} == {**kept, "run": None, "average": None}
    assert counted["average"] == pytest.approx(kept["average"])


async def test_unsettled_samples_are_found_while_there_are_any(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(SAMPLES))
    async with working(evals):
        run = await evals.finished(suite_id)
    for status in UNSETTLED:
        assert await evals.samples(run.id, status=status) == []
    await _execute(
        evals, "UPDATE run_samples SET status = 'queued' WHERE run_id = :run_id AND sample_index = 7", run.id
    )
    await _execute(evals, "UPDATE runs SET completed = completed - 1 WHERE id = :run_id", run.id)
    [found] = await evals.samples(run.id, status=SampleStatus.QUEUED)
    assert found.sample_index == 7
