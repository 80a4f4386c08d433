"""A run whose parts are missing or broken fails with a reason that a person can act on; it never hangs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from tests.support.evals import Evals, question_rows, working

from assay.core.files.service import delete_file
from assay.core.runs.lane import LaneTools
from assay.core.runs.types import RunStatus
from assay.db.session import transaction
from assay.sandbox.monty import MontySandbox
from assay.workflows.eval_run.activities import ATTEMPTS_AT_A_MISSING_PART, EvalRunActivities
from assay.workflows.eval_run.shared import LaneInput, RunRef

T = TypeVar("T")


async def delete_files(evals: Evals) -> None:
    async with evals.runtime.sessions() as session:
        ids = (await session.scalars(text("SELECT id FROM files WHERE deleted_at IS NULL"))).all()
    for file_id in ids:
        async with transaction(evals.runtime.sessions) as session:
            await delete_file(session, evals.principal, store=evals.runtime.files, file_id=file_id)


async def test_the_dataset_was_deleted(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(5))
    await delete_files(evals)
    async with working(evals):
        run = await evals.finished(suite_id)
    assert run.status is RunStatus.FAILED
    assert run.failed_at is not None
    assert run.error is not None
    assert run.error["code"] == "invalid_run"
    assert "Task 't': its dataset file 'file_" in run.error["message"]


async def test_a_dataset_deleted_once_the_run_is_laid_out_is_not_missed(evals: Evals) -> None:
    evals.models.behaviour.latency_seconds = 0.02
    suite_id = await evals.suite(question_rows(100))
    async with working(evals):
        run_id = await evals.start(suite_id)
        await evals.until_settled(run_id, 5)
        await delete_files(evals)
        run = await evals.until(run_id)
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 100), run.error


async def test_the_model_has_gone_from_the_catalog(evals: Evals) -> None:
    run_id = await evals.start(await evals.suite(question_rows(5)))
    async with evals.runtime.sessions.begin() as session:
        await session.execute(text("""UPDATE runs SET models = '["gone/model"]'"""))
    async with working(evals):
        run = await evals.until(run_id)
    assert (run.status, run.completed, run.failed) == (RunStatus.FAILED, 0, 0)
    assert run.error is not None
    assert run.error["code"] == "unknown_model"
    assert "gone/model" in run.error["message"]


@pytest.mark.parametrize(
    ("rows", "task", "says"),
    [
        ([{"question": "a", "answer": "b"}, {"answer": "c"}], {"prompt_template": "{{question}}"}, "row 2"),
        (
            [{"question": "a"}, {"question": "b"}],
            {"preprocess": {"source": "def transform(row):\n    return {'question': row['nothing']}\n"}},
            "row 1: the preprocessor failed",
        ),
        (
            [{"question": "a"}],
            {"preprocess": {"contract": "batch", "source": "def transform_batch(rows):\n    return []\n"}},
            "no rows",
        ),
        (
            [{"question": "a"}],
            {"preprocess": {"source": "def transform(row):\n    return {'question': 'a\\0b'}\n"}},
            "NUL",
        ),
    ],
    ids=["template", "preprocessor", "no rows left", "NUL"],
)
async def test_rows_at_fault_are_named(
    evals: Evals, rows: list[dict[str, str]], task: dict[str, object], says: str
) -> None:
    suite_id = await evals.suite(rows, task)
    async with working(evals):
        run = await evals.finished(suite_id)
    assert (run.status, run.total) == (RunStatus.FAILED, 0)
    assert run.error is not None
    assert says in run.error["message"]
    assert "'t'" in run.error["message"]


async def test_a_broken_sandbox_fails_the_run_in_the_end(evals: Evals) -> None:
    """A sandbox that was never started: each attempt asks for another, until there were enough of them."""
    source = "def grade(sample, item):\n    return 1.0\n"
    run_id = await evals.start(await evals.suite(question_rows(3), {"type": "custom", "grader": {"source": source}}))
    tools = LaneTools(evals.runtime.sessions, evals.runtime.gateway, MontySandbox())
    activities = EvalRunActivities(tools, evals.runtime.files, wake_dispatcher=lambda: None)
    await _run(activities.prepare, RunRef(str(run_id), 1), attempt=1)
    lane = LaneInput(str(run_id), 1, lane=0, lanes=1)
    for attempt, lasting in ((1, False), (ATTEMPTS_AT_A_MISSING_PART, True)):
        with pytest.raises(ApplicationError) as caught:
            await _run(activities.execute, lane, attempt=attempt)
        assert (caught.value.type, caught.value.non_retryable) == ("sandbox_unavailable", lasting)
    run = await evals.get(run_id)
    assert run.error is not None
    assert run.error["code"] == "sandbox_unavailable"
    assert "sandbox" in run.error["message"]


async def test_errors_that_are_not_ours_to_tell_stay_out_of_temporal(evals: Evals) -> None:
    """A fault that quotes data is told to the run's owner alone."""
    run_id = await evals.start(await evals.suite([{"question": "secret-question"}, {"other": "secret-row"}]))
    activities = EvalRunActivities(
        LaneTools(evals.runtime.sessions, evals.runtime.gateway, MontySandbox()),
        evals.runtime.files,
        wake_dispatcher=lambda: None,
    )
    with pytest.raises(ApplicationError) as caught:
        await _run(activities.prepare, RunRef(str(run_id), 1), attempt=1)
    assert caught.value.non_retryable
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)
    error = (await evals.get(run_id)).error
    assert error is not None
    assert "row 2" in error["message"]


async def _run(activity: Callable[[T], Awaitable[object]], argument: T, *, attempt: int) -> object:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    return await environment.run(activity, argument)
