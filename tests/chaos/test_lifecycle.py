"""Cancelling, retrying, rerunning, deleting: what is asked again, and what is never asked again."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text
from tests.support.evals import MODEL, Evals, dispatching, question_rows, spawn_worker, working
from tests.support.waiting import eventually

from assay.core.runs import service
from assay.core.runs.types import RunStatus, SampleStatus

CANCEL_SECONDS = 5.0


async def test_cancel_takes_effect_at_once_and_retry_continues(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(400))
    evals.models.behaviour.latency_seconds = 0.01
    async with working(evals):
        run_id = await evals.start(suite_id, concurrency=8)
        await evals.until_settled(run_id, 60)
        evals.models.behaviour.hang = True
        await eventually(lambda: evals.models.stats.in_flight == 8)
        asked_at = time.monotonic()
        assert (await evals.cancel(run_id)).status is RunStatus.CANCELLING
        cancelled = await evals.until(run_id)
        assert time.monotonic() - asked_at < CANCEL_SECONDS
        assert cancelled.status is RunStatus.CANCELLED
        assert cancelled.cancelled_at is not None
        await evals.check_counts(run_id)
        done = {sample.id: sample for sample in await evals.samples(run_id, status=SampleStatus.COMPLETED)}
        assert 60 <= len(done) < 400
        assert {sample.status for sample in await evals.samples(run_id)} == {
            SampleStatus.QUEUED,
            SampleStatus.COMPLETED,
        }

        evals.models.behaviour.hang = False
        evals.models.release()
        asked_before = evals.models.stats.prompts.copy()
        await evals.retry(run_id)
        run = await evals.until(run_id)
    assert (run.status, run.completed, run.failed) == (RunStatus.COMPLETED, 400, 0)
    assert run.cancelled_at is None
    asked_again = evals.models.stats.prompts - asked_before
    assert not {sample.prompt for sample in done.values()} & set(asked_again)
    after = {sample.id: sample for sample in await evals.samples(run_id)}
    assert all(after[sample_id] == sample for sample_id, sample in done.items())
    await evals.check_counts(run_id)


async def test_cancel_before_the_workflow_has_started(evals: Evals) -> None:
    run_id = await evals.start(await evals.suite(question_rows(5)))
    await evals.cancel(run_id)
    async with working(evals):
        run = await evals.until(run_id)
    assert (run.status, run.total) == (RunStatus.CANCELLED, 0)
    assert evals.models.stats.requests == 0


async def test_cancel_when_no_worker_is_there(evals: Evals) -> None:
    """The workflow is cancelled before its first step; a worker that comes later writes that down."""
    async with dispatching(evals):
        run_id = await evals.start(await evals.suite(question_rows(5)))
        await eventually(lambda: _outbox_is_empty(evals))
        await evals.cancel(run_id)
        await eventually(lambda: _outbox_is_empty(evals))
    async with working(evals):
        run = await evals.until(run_id)
    assert run.status is RunStatus.CANCELLED


async def test_cancel_of_a_run_that_temporal_does_not_know(evals: Evals) -> None:
    run_id = await evals.start(await evals.suite(question_rows(5)))
    async with evals.runtime.sessions.begin() as session:
        await session.execute(text("DELETE FROM outbox"))
    await evals.cancel(run_id)
    async with dispatching(evals):
        run = await evals.until(run_id)
    assert run.status is RunStatus.CANCELLED


async def test_cancel_while_rows_are_preprocessed(evals: Evals) -> None:
    slow = {"contract": "row", "source": "def transform(row):\n    while True:\n        pass\n", "timeout_seconds": 60}
    suite_id = await evals.suite(question_rows(50), {"preprocess": slow})
    async with working(evals):
        run_id = await evals.start(suite_id)
        await eventually(lambda: _outbox_is_empty(evals))
        asked_at = time.monotonic()
        await evals.cancel(run_id)
        run = await evals.until(run_id)
        assert time.monotonic() - asked_at < CANCEL_SECONDS
    assert (run.status, run.total) == (RunStatus.CANCELLED, 0)


async def test_cancel_while_a_group_is_scored(evals: Evals) -> None:
    endless = {"contract": "batch", "source": "def grade_batch(samples):\n    while True:\n        pass\n"}
    suite_id = await evals.suite(question_rows(20), {"type": "custom", "grader": {**endless, "timeout_seconds": 60}})
    async with working(evals):
        run_id = await evals.start(suite_id)
        await eventually(lambda: _all_samples_are(evals, run_id, SampleStatus.READY_TO_SCORE))
        asked_at = time.monotonic()
        await evals.cancel(run_id)
        run = await evals.until(run_id)
        assert time.monotonic() - asked_at < CANCEL_SECONDS
    assert run.status is RunStatus.CANCELLED
    await _all_samples_are(evals, run_id, SampleStatus.READY_TO_SCORE)


async def test_deleting_a_live_run_stops_it(evals: Evals) -> None:
    evals.models.behaviour.latency_seconds = 0.02
    async with working(evals):
        run_id = await evals.start(await evals.suite(question_rows(600)), concurrency=4)
        await evals.until_settled(run_id, 20)
        await evals.delete(run_id)
        await eventually(lambda: _has_status(evals, run_id, RunStatus.CANCELLED), timeout=CANCEL_SECONDS)
    assert evals.models.stats.requests < 600


async def test_rerun_asks_only_for_the_failed_samples(evals: Evals) -> None:
    rows = question_rows(30)
    refused = {row["question"] for row in rows[::5]}
    suite_id = await evals.suite(rows)
    evals.models.behaviour.refused = refused
    async with working(evals):
        first = await evals.finished(suite_id, generation={"max_retries": 0})
        assert (first.status, first.completed, first.failed) == (RunStatus.COMPLETED, 24, 6), first.error
        before = {sample.id: sample for sample in await evals.samples(first.id)}
        evals.models.behaviour.refused = set()
        asked_before = evals.models.stats.prompts.copy()
        rerun = await evals.rerun_failed(first.id)
        assert (rerun.status, rerun.failed, rerun.completed) == (RunStatus.QUEUED, 0, 24)
        run = await evals.until(first.id)
    assert (run.status, run.completed, run.failed) == (RunStatus.COMPLETED, 30, 0)
    assert set(evals.models.stats.prompts - asked_before) == refused
    after = {sample.id: sample for sample in await evals.samples(run.id)}
    assert after.keys() == before.keys()
    assert all(after[key] == sample for key, sample in before.items() if sample.status is SampleStatus.COMPLETED)
    assert run.result_file_id != first.result_file_id
    assert first.metrics is not None
    assert run.metrics is not None
    assert first.metrics["by_task"]["t"]["counts"]["failed"] == 6
    assert run.metrics["by_task"]["t"]["counts"] == {"total": 30, "completed": 30, "failed": 0, "scored": 30}
    async with evals.runtime.sessions() as session:
        overview = await service.get_run_overview(session, evals.principal, run_id=run.id, metric="exact_match")
        snapshots = (
            await session.execute(text("SELECT sample_id, execution, snapshot FROM run_sample_attempts"))
        ).all()
    assert (overview.trials.retried, overview.trials.failed) == (6, 0)
    assert {row.sample_id for row in snapshots} == {key for key, s in before.items() if s.status is SampleStatus.FAILED}
    assert {row.execution for row in snapshots} == {1}
    assert all(row.snapshot["error"]["code"] for row in snapshots)


@pytest.mark.timeout(180)
async def test_two_workers_share_a_run(evals: Evals) -> None:
    evals.models.behaviour.latency_seconds = 0.02
    suite_id = await evals.suite(question_rows(1500))
    workers = [await spawn_worker(evals.place), await spawn_worker(evals.place)]
    try:
        run_id = await evals.start(suite_id, concurrency=128)
        run = await evals.until(run_id, timeout=120)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            await worker.wait()
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 1500), run.error
    assert set(evals.models.stats.prompts.values()) == {1}
    assert 64 < evals.models.stats.most_in_flight <= 128
    await evals.check_counts(run_id)


@pytest.mark.timeout(180)
async def test_a_worker_that_is_asked_to_stop_hands_its_work_over(evals: Evals) -> None:
    """Its calls come to their end, so nothing is asked twice."""
    evals.models.behaviour.latency_seconds = 0.05
    suite_id = await evals.suite(question_rows(300))
    first = await spawn_worker(evals.place)
    run_id = await evals.start(suite_id, concurrency=16)
    await evals.until_settled(run_id, 40)
    first.terminate()
    assert await first.wait() == 0
    async with working(evals):
        run = await evals.until(run_id, timeout=120)
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 300), run.error
    assert set(evals.models.stats.prompts.values()) == {1}


async def test_several_models_and_tasks(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(60), {"id": "a"}, {"id": "b"})
    async with working(evals):
        run = await evals.finished(suite_id, models=[MODEL, "openai/other"], task_ids=["b", "a"], concurrency=32)
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 240), run.error
    samples = await evals.samples(run.id)
    keys = {(sample.task_id, sample.model, sample.sample_index) for sample in samples}
    assert len(keys) == 240


async def _outbox_is_empty(evals: Evals) -> bool:
    async with evals.runtime.sessions() as session:
        return (await session.execute(text("SELECT count(*) FROM outbox"))).scalar_one() == 0


async def _has_status(evals: Evals, run_id: object, status: RunStatus) -> bool:
    async with evals.runtime.sessions() as session:
        found = await session.execute(text("SELECT status FROM runs WHERE id = :id"), {"id": run_id})
        return found.scalar_one() == status.value


async def _all_samples_are(evals: Evals, run_id: object, status: SampleStatus) -> bool:
    query = text("SELECT count(*) > 0 AND bool_and(status = :status) FROM run_samples WHERE run_id = :id")
    async with evals.runtime.sessions() as session:
        found = (await session.execute(query, {"id": run_id, "status": status.value})).scalar_one()
    assert found
    return found
