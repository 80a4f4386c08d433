"""Stored histories of the ``eval_run`` workflow: replayed by today's code, and free of what users wrote.

After a change that is meant to alter the workflow's decisions (and that no running workflow can meet), record anew::

    ASSAY_RECORD_HISTORIES=1 uv run pytest tests/workflows/test_histories.py -k record
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from tests.support.evals import PROVIDER_KEY, Evals, question_rows, working

from assay.core.runs.service import workflow_id
from assay.core.runs.types import RunStatus
from assay.workflows.eval_run.workflow import EvalRunWorkflow

CHECKOUT = Path(__file__).parents[2]
HISTORIES = Path(__file__).parent / "histories"
RECORD = "ASSAY_RECORD_HISTORIES"
SECRET = "secret-of-the-dataset"


async def completed(evals: Evals) -> UUID:
    run = await evals.finished(await evals.suite(_rows(20)), concurrency=100)
    assert run.status is RunStatus.COMPLETED, run.error
    return run.id


async def grouped(evals: Evals) -> UUID:
    grader = {"contract": "batch", "source": "def grade_batch(samples):\n    return [1.0 for s in samples]\n"}
    run = await evals.finished(await evals.suite(_rows(5), {"type": "custom", "grader": grader}))
    assert run.status is RunStatus.COMPLETED, run.error
    return run.id


async def failed(evals: Evals) -> UUID:
    run = await evals.finished(await evals.suite([{"question": SECRET}, {"other": SECRET}]))
    assert run.status is RunStatus.FAILED
    return run.id


async def cancelled(evals: Evals) -> UUID:
    evals.models.behaviour.hang = True
    run_id = await evals.start(await evals.suite(_rows(20)))
    await evals.until(run_id, RunStatus.IN_PROGRESS)
    await evals.cancel(run_id)
    assert (await evals.until(run_id)).status is RunStatus.CANCELLED
    return run_id


async def continued(evals: Evals) -> UUID:
    """Its lanes are so short that it takes several, and the workflow may start only one before it begins anew."""
    evals.models.behaviour.latency_seconds = 0.05
    suite_id = await evals.suite(_rows(60))
    run = await evals.finished(suite_id, concurrency=4, max_workflow_sample_activities=1)
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 60), run.error
    return run.id


@dataclass(frozen=True, slots=True)
class Case:
    make: Callable[[Evals], Awaitable[UUID]]
    lane_seconds: float = 600

    @property
    def name(self) -> str:
        return self.make.__name__


CASES = [Case(completed), Case(grouped), Case(failed), Case(cancelled), Case(continued, lane_seconds=0.3)]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_record_histories(case: Case, evals: Evals) -> None:
    """Every way to end: its history holds no text of the user's and no key, and replays."""
    placed = Evals(
        replace(evals.place, longest_lane_seconds=case.lane_seconds), evals.runtime, evals.principal, evals.models
    )
    async with working(placed):
        run_id = await case.make(placed)
        history = await _fetch(placed, run_id)
    # Stack traces name the places of one checkout and one interpreter.
    written = history.to_json().replace(f"{CHECKOUT}/", "").replace(f"{sys.base_prefix}/", "")
    for forbidden in (SECRET, "answer=", "question", PROVIDER_KEY):
        assert forbidden not in written
    await Replayer(workflows=[EvalRunWorkflow]).replay_workflow(history)
    if RECORD in os.environ:
        (HISTORIES / f"{case.name}.json").write_text(written + "\n", encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_stored_histories_replay(case: Case) -> None:
    written = (HISTORIES / f"{case.name}.json").read_text(encoding="utf-8")
    history = WorkflowHistory.from_json(f"eval_run/{case.name}", written)
    await Replayer(workflows=[EvalRunWorkflow]).replay_workflow(history)


async def test_a_run_that_continues_as_new_asks_nothing_twice(evals: Evals) -> None:
    placed = Evals(replace(evals.place, longest_lane_seconds=0.3), evals.runtime, evals.principal, evals.models)
    async with working(placed):
        run_id = await continued(placed)
        handle = placed.runtime.temporal.get_workflow_handle(workflow_id(run_id, 1))
        first = (await handle.describe()).raw_description.workflow_execution_info.first_run_id
        assert first != (await handle.describe()).run_id
    assert set(evals.models.stats.prompts.values()) == {1}
    await evals.check_counts(run_id)


async def _fetch(evals: Evals, run_id: UUID) -> WorkflowHistory:
    """The history of the first workflow of a run's first execution, once it has closed."""
    handle = evals.runtime.temporal.get_workflow_handle(workflow_id(run_id, 1))
    await handle.result()
    first = (await handle.describe()).raw_description.workflow_execution_info.first_run_id
    return await evals.runtime.temporal.get_workflow_handle(workflow_id(run_id, 1), run_id=first).fetch_history()


def _rows(count: int) -> list[dict[str, str]]:
    return [{**row, "question": f"{SECRET} {row['question']}"} for row in question_rows(count)]
