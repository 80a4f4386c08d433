"""SIGKILL to each part of a run that is under way: nothing is lost, nothing is doubled, the numbers are the same.

The kills come when samples have been recorded, never after a fixed time. A killed worker is noticed when its lane has
not been heard of for six seconds (``workflow.HEARTBEAT``), which is most of what these tests take.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from tests.support.evals import Evals, kill, open_evals, question_rows, spawn_worker
from tests.support.model_server import Behaviour, ModelServer
from tests.support.services import supervised_services
from tests.support.waiting import eventually

from assay.core.runs.types import Run, RunStatus
from assay.db import migrate

SAMPLES = 2000
WRONG_EVERY = 7
PATIENCE = 120

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def models() -> AsyncGenerator[ModelServer]:
    """A provider of which five calls in a hundred fail, half of them with 429."""
    behaviour = Behaviour(latency_seconds=0.02, rate_429=0.025, rate_500=0.025, seed=11)
    async with ModelServer(behaviour) as server:
        yield server


async def test_a_worker_killed_twice(evals: Evals) -> None:
    run_id = await evals.start(await evals.suite(question_rows(SAMPLES, wrong_every=WRONG_EVERY)), concurrency=64)
    for killed_at in (300, 1000):
        worker = await spawn_worker(evals.place)
        await evals.until_settled(run_id, killed_at, timeout=PATIENCE)
        await kill(worker)
    worker = await spawn_worker(evals.place)
    try:
        run = await evals.until(run_id, timeout=PATIENCE)
    finally:
        await kill(worker)
    await _check_undisturbed(evals, run)
    # What was in flight, and what a twentieth of a second had gathered, is asked again; hardly more.
    asked_again = sum(evals.models.stats.prompts.values()) - SAMPLES
    assert 0 < asked_again < 2 * (64 + 512)


async def test_a_worker_killed_while_it_grades_a_group(evals: Evals) -> None:
    """The group is graded again as a whole, and its metrics are of the whole group."""
    grader = {
        "contract": "batch",
        "metric_id": "hit",
        "source": (
            "def grade_batch(samples):\n"
            "    n = 0\n"
            "    for i in range(1000000):\n"
            "        n += i\n"
            "    hits = [1.0 if s['output_text'] == s['target'] else 0.0 for s in samples]\n"
            "    return {'samples': hits, 'metrics': {'size': len(samples)}}\n"
        ),
    }
    suite_id = await evals.suite(
        question_rows(200, wrong_every=WRONG_EVERY),
        {"type": "custom", "grader": grader, "target_template": "{{answer}}"},
    )
    run_id = await evals.start(suite_id, concurrency=64)
    worker = await spawn_worker(evals.place)
    await eventually(lambda: _count(evals, run_id, "ready_to_score", 200), timeout=PATIENCE)
    await kill(worker)
    worker = await spawn_worker(evals.place)
    try:
        run = await evals.until(run_id, timeout=PATIENCE)
    finally:
        await kill(worker)
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 200), run.error
    assert run.metrics is not None
    metrics = run.metrics["by_task"]["t"]["metrics"]
    assert metrics["size"] == 200
    assert metrics["hit"] == pytest.approx(1 - 29 / 200)
    await evals.check_counts(run_id)


@pytest.mark.parametrize("service", ["temporal", "postgres"])
async def test_a_service_killed(service: str, tmp_path: Path, models: ModelServer) -> None:
    """The supervisor brings it back on the same port; the worker waits for it and keeps what it has."""
    async with supervised_services(tmp_path / "services") as (report, home):
        await migrate.upgrade(report["database_url"])
        async with open_evals(
            database_url=report["database_url"],
            temporal_address=report["temporal_address"],
            home=tmp_path / "evals",
            models=models,
        ) as evals:
            suite_id = await evals.suite(question_rows(SAMPLES, wrong_every=WRONG_EVERY))
            worker = await spawn_worker(evals.place)
            try:
                run_id = await evals.start(suite_id, concurrency=32)
                await evals.until_settled(run_id, 300, timeout=PATIENCE)
                os.kill(report["pids"][service], signal.SIGKILL)
                run = await _until_over_outage(evals, run_id)
            finally:
                await kill(worker)
            await _check_undisturbed(evals, run)
            assert sum(models.stats.prompts.values()) < SAMPLES + 2 * (32 + 512)
    assert not _processes(home)


async def _check_undisturbed(evals: Evals, run: Run) -> None:
    """The run is what it would have been without any kill."""
    assert (run.status, run.total, run.completed, run.failed) == (RunStatus.COMPLETED, SAMPLES, SAMPLES, 0), run.error
    await evals.check_counts(run.id)
    samples = await evals.samples(run.id)
    assert [sample.sample_index for sample in samples] == list(range(SAMPLES))
    assert all(sample.status.value == "completed" for sample in samples)
    wrong = len(range(0, SAMPLES, WRONG_EVERY))
    assert run.metrics is not None
    task = run.metrics["by_task"]["t"]
    # Derived by hand: each seventh row, from the first, expects what the model never says.
    assert run.metrics["overall"]["exact_match"] == pytest.approx((SAMPLES - wrong) / SAMPLES)
    assert task["counts"] == {"total": SAMPLES, "completed": SAMPLES, "failed": 0, "scored": SAMPLES}
    assert task["tokens"]["input"] == sum(sample.input_tokens or 0 for sample in samples)


async def _count(evals: Evals, run_id: UUID, status: str, count: int) -> bool:
    samples = await evals.samples(run_id)
    return sum(sample.status.value == status for sample in samples) == count


async def _until_over_outage(evals: Evals, run_id: UUID) -> Run:
    """Wait for the run's end through a database that may be away."""

    async def check() -> Run | None:
        with suppress(Exception):
            run = await evals.get(run_id)
            return run if run.status.is_terminal else None
        return None

    run = await eventually(check, timeout=PATIENCE)
    assert run is not None
    return run


def _processes(home: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if str(home) in " ".join(p.info["cmdline"] or ())]
