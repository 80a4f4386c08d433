"""Stored histories of the ``job`` workflow: replayed by today's code, and free of what users wrote.

After a change that is meant to alter the workflow's decisions (and that no running workflow can meet), record anew::

    ASSAY_RECORD_HISTORIES=1 uv run pytest tests/workflows/test_job_histories.py -k record
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from tests.support.evals import PROVIDER_KEY, Evals, working
from tests.support.jobs import Jobs, provider_reply
from tests.support.waiting import eventually

from assay.workflows.job.workflow import JobWorkflow

CHECKOUT = Path(__file__).parents[2]
HISTORIES = Path(__file__).parent / "histories"
RECORD = "ASSAY_RECORD_HISTORIES"
SECRET = "secret-of-the-dataset"
ROWS = [{"input": f"{SECRET} {number} answer={number}"} for number in range(4)]


async def job_completed(jobs: Jobs) -> UUID:
    job_id = await jobs.start("inference")
    assert (await jobs.until(job_id)).status == "completed"
    return job_id


async def job_cancelled(jobs: Jobs) -> UUID:
    jobs.evals.models.behaviour.hang = True
    job_id = await jobs.start("inference")
    await eventually(lambda: jobs.evals.models.stats.in_flight > 0, timeout=30)
    await jobs.change(job_id, status="cancelled")
    return job_id


async def job_failed(jobs: Jobs) -> UUID:
    """A fault of ours, three times over."""
    async with jobs.evals.runtime.sessions.begin() as session:
        await session.execute(text("ALTER TABLE job_steps RENAME TO nowhere"))
    job_id = await jobs.start("inference")
    job = await jobs.until(job_id)
    assert job.status == "failed"
    assert "An internal fault (ProgrammingError)" in str(job.result)
    return job_id


CASES: list[Callable[[Jobs], Awaitable[UUID]]] = [job_completed, job_cancelled, job_failed]
each_case = pytest.mark.parametrize("make", CASES, ids=[make.__name__ for make in CASES])


@each_case
async def test_record_histories(make: Callable[[Jobs], Awaitable[UUID]], evals: Evals) -> None:
    """Every way to end: its history holds no text of the user's and no key, and replays."""
    evals.models.behaviour.reply = provider_reply
    jobs = Jobs(evals)
    await jobs.agent(ROWS)
    async with working(evals):
        job_id = await make(jobs)
        handle = evals.runtime.temporal.get_workflow_handle((await jobs.get(job_id)).task_reference)
        await handle.result()
        history = await handle.fetch_history()
    # Stack traces name the places of one checkout and one interpreter.
    written = history.to_json().replace(f"{CHECKOUT}/", "").replace(f"{sys.base_prefix}/", "")
    for forbidden in (SECRET, "answer=", "SELECT", PROVIDER_KEY):
        assert forbidden not in written
    await Replayer(workflows=[JobWorkflow]).replay_workflow(history)
    if RECORD in os.environ:
        (HISTORIES / f"{make.__name__}.json").write_text(written + "\n", encoding="utf-8")


@each_case
async def test_stored_histories_replay(make: Callable[[Jobs], Awaitable[UUID]]) -> None:
    written = (HISTORIES / f"{make.__name__}.json").read_text(encoding="utf-8")
    history = WorkflowHistory.from_json(f"job/{make.__name__}", written)
    await Replayer(workflows=[JobWorkflow]).replay_workflow(history)
