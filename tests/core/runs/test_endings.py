"""Metrics that were worked out by hand, and the ways in which a run ends."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.evals import MODEL, Evals, question_rows

from assay.core.files.service import open_content
from assay.core.runs import ledger
from assay.core.runs.artifacts import stream_samples
from assay.core.runs.ending import fail_run, finish_run, mark_cancelled, note_failure
from assay.core.runs.errors import RunIncompleteError, RunStoppedError
from assay.core.runs.ledger import Execution, SampleResult
from assay.core.runs.plan import load_plan
from assay.core.runs.prepare import prepare_run
from assay.core.runs.types import RunStatus, SampleStatus
from assay.db.session import transaction
from assay.sandbox.monty import MontySandbox


async def prepared(evals: Evals, rows: list[dict[str, str]], *tasks: dict[str, Any], **config: Any) -> Execution:
    execution = Execution(await evals.start(await evals.suite(rows, *tasks), **config), 1)
    await prepare_run(
        evals.runtime.sessions, store=evals.runtime.files, sandbox=MontySandbox(), hub=evals.hub, execution=execution
    )
    return execution


def done(index: int, scores: dict[str, Any], *, task_no: int = 0, model_no: int = 0, **values: Any) -> SampleResult:
    return SampleResult(task_no, model_no, index, SampleStatus.COMPLETED, {"scores": scores, **values})


def failed(index: int, **place: int) -> SampleResult:
    values = {"error": {"code": "x"}}
    return SampleResult(place.get("task_no", 0), place.get("model_no", 0), index, SampleStatus.FAILED, values)


async def record(evals: Evals, execution: Execution, *results: SampleResult) -> None:
    async with transaction(evals.runtime.sessions) as session:
        await ledger.record_answers(session, execution, results)


async def finish(evals: Evals, execution: Execution) -> None:
    await finish_run(evals.runtime.sessions, store=evals.runtime.files, execution=execution)


async def metrics_of(evals: Evals, execution: Execution) -> dict[str, Any]:
    await finish(evals, execution)
    run = await evals.get(execution.run_id)
    assert run.status is RunStatus.COMPLETED
    assert run.metrics is not None
    return dict(run.metrics)


async def test_means_counts_and_tokens(evals: Evals) -> None:
    """Four samples: scored 1, scored 0, completed without the metric, failed."""
    execution = await prepared(evals, question_rows(4))
    await record(
        evals,
        execution,
        done(0, {"exact_match": 1}, input_tokens=10, output_tokens=1, cost_usd="0.25"),
        done(1, {"exact_match": 0}, input_tokens=20, cached_tokens=5, tokens_estimated=True),
        done(2, {}),
        failed(3),
    )
    metrics = await metrics_of(evals, execution)
    task = metrics["by_task"]["t"]
    assert metrics["overall"]["exact_match"] == 0.5
    assert task["counts"] == {"total": 4, "completed": 3, "failed": 1, "scored": 2}
    assert task["tokens"] == {"input": 30, "output": 1, "cached": 5, "reasoning": None, "estimated": True}
    interval = task["intervals"]["exact_match"]
    assert (interval["n"], interval["unscored"]) == (2, 1)
    run = await evals.get(execution.run_id)
    assert run.cost_usd == pytest.approx(0.25)
    assert (run.tokens.input, run.tokens.reasoning) == (30, None)


async def test_models_and_tasks_are_kept_apart(evals: Evals) -> None:
    execution = await prepared(evals, question_rows(2), {"id": "a"}, {"id": "b"}, models=[MODEL, "openai/other"])
    values = {(0, 0): (1, 1), (0, 1): (1, 0), (1, 0): (0, 0), (1, 1): (0, 1)}
    await record(
        evals,
        execution,
        *(
            done(index, {"exact_match": value}, task_no=task_no, model_no=model_no)
            for (task_no, model_no), pair in values.items()
            for index, value in enumerate(pair)
        ),
    )
    metrics = await metrics_of(evals, execution)
    assert metrics["overall"]["exact_match"] == 0.5
    # By model: (1+1+0+0)/4 and (1+0+0+1)/4. By task: (1+1+1+0)/4 and (0+0+0+1)/4.
    assert {model: means["exact_match"] for model, means in metrics["by_model"].items()} == {
        MODEL: 0.5,
        "openai/other": 0.5,
    }
    assert metrics["by_task"]["a"]["metrics"]["exact_match"] == 0.75
    assert metrics["by_task"]["b"]["metrics"]["exact_match"] == 0.25
    assert metrics["by_task"]["b"]["by_model"]["openai/other"]["metrics"]["exact_match"] == 0.5


async def test_values_that_are_no_numbers_and_metrics_that_are_not_summed(evals: Evals) -> None:
    task = {
        "type": "custom",
        "grader": {"source": "def grade(sample, item):\n    return 1\n", "metric_id": "hit"},
        "metrics": [{"id": "hit"}, {"id": "hidden", "aggregation": "none"}, {"id": "never"}],
    }
    execution = await prepared(evals, question_rows(3), task)
    await record(
        evals,
        execution,
        done(0, {"hit": 0.25, "hidden": 1}),
        done(1, {"hit": 0.75, "note": "text"}),
        done(2, {"hit": None}),
    )
    metrics = await metrics_of(evals, execution)
    assert metrics["by_task"]["t"]["metrics"] == {"hit": 0.5, "never": None}
    assert metrics["by_task"]["t"]["intervals"]["hit"]["unscored"] == 1
    assert metrics["by_task"]["t"]["intervals"]["never"]["n"] == 0


async def test_a_run_in_which_everything_failed_has_null_means(evals: Evals) -> None:
    execution = await prepared(evals, question_rows(2))
    await record(evals, execution, failed(0), failed(1))
    metrics = await metrics_of(evals, execution)
    assert set(metrics["overall"].values()) <= {None}
    assert metrics["by_task"]["t"]["counts"] == {"total": 2, "completed": 0, "failed": 2, "scored": 0}


async def test_classification(evals: Evals) -> None:
    """Expected a a b b, said a b b (nothing): accuracy 2/4; F1 of a = 2/3 (P 1, R 1/2), of b = 1/2 (P 1/2, R 1/2)."""
    rows = [{"text": "t", "label": label} for label in ("a", "a", "b", "b")]
    execution = await prepared(evals, rows, {"type": "classification", "choices": ["a", "b"]})
    said = ["a", "b", "b", "neither"]
    await record(
        evals,
        execution,
        *(
            done(i, {"accuracy": int(i in (0, 2))}, output_text=word, extracted_output=word)
            for i, word in enumerate(said)
        ),
    )
    task = (await metrics_of(evals, execution))["by_task"]["t"]
    block = task["by_model"][MODEL]["classification"]
    assert block["accuracy"]["value"] == 0.5
    assert block["f1_macro"]["value"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert task["metrics"]["accuracy"] == 0.5
    assert task["metrics"]["f1_macro"] == pytest.approx(7 / 12)
    assert sum(sum(row) for row in block["confusion"]["counts"]) == 4


async def test_finishing_again_changes_nothing(evals: Evals) -> None:
    execution = await prepared(evals, question_rows(2))
    await record(evals, execution, done(0, {"exact_match": 1}), done(1, {"exact_match": 1}))
    await finish(evals, execution)
    before = await evals.get(execution.run_id)
    await finish(evals, execution)
    assert await evals.get(execution.run_id) == before
    assert before.samples_file_id is not None
    async with evals.runtime.sessions() as session:
        content = await open_content(
            session, evals.principal, store=evals.runtime.files, file_id=before.samples_file_id
        )
    lines = b"".join([chunk async for chunk in content.chunks]).splitlines()
    assert [json.loads(line)["sample_index"] for line in lines] == [0, 1]


async def test_finishing_goes_on_where_a_crash_interrupted_it(evals: Evals) -> None:
    execution = await prepared(evals, question_rows(1))
    await record(evals, execution, done(0, {"exact_match": 1}))
    await set_status(evals, execution, "finalizing")
    await finish(evals, execution)
    assert (await evals.get(execution.run_id)).status is RunStatus.COMPLETED


async def test_a_run_with_outstanding_samples_does_not_complete(evals: Evals) -> None:
    execution = await prepared(evals, question_rows(3))
    await record(evals, execution, done(0, {"exact_match": 1}))
    with pytest.raises(RunIncompleteError, match="2 samples"):
        await finish(evals, execution)
    assert (await evals.get(execution.run_id)).status is RunStatus.IN_PROGRESS


async def test_late_endings_leave_a_newer_execution_alone(evals: Evals) -> None:
    execution = await prepared(evals, question_rows(1))
    async with evals.runtime.sessions.begin() as session:
        await session.execute(text("UPDATE runs SET execution = 2"))
    before = await evals.get(execution.run_id)
    with pytest.raises(RunStoppedError):
        await finish(evals, execution)
    await note_failure(evals.runtime.sessions, execution=execution, error={"code": "late"})
    await fail_run(evals.runtime.sessions, execution=execution, error={"code": "late"})
    await mark_cancelled(evals.runtime.sessions, execution=execution)
    assert await evals.get(execution.run_id) == before


@pytest.mark.parametrize(
    ("status", "ends"),
    [("in_progress", RunStatus.FAILED), ("cancelling", RunStatus.CANCELLED), ("completed", RunStatus.COMPLETED)],
)
async def test_a_failure_of_a_run_that_is_being_cancelled_is_no_failure(
    evals: Evals, status: str, ends: RunStatus
) -> None:
    execution = await prepared(evals, question_rows(1))
    await set_status(evals, execution, status)
    await note_failure(evals.runtime.sessions, execution=execution, error={"code": "noted", "message": "why\0"})
    await fail_run(evals.runtime.sessions, execution=execution, error={"code": "interrupted"})
    run = await evals.get(execution.run_id)
    assert run.status is ends
    assert run.error == ({"code": "noted", "message": "why�"} if ends is RunStatus.FAILED else None)


async def test_cancelled_while_finishing(evals: Evals) -> None:
    execution = await prepared(evals, question_rows(1))
    await record(evals, execution, done(0, {"exact_match": 1}))
    await set_status(evals, execution, "cancelling")
    with pytest.raises(RunStoppedError):
        await finish(evals, execution)
    await mark_cancelled(evals.runtime.sessions, execution=execution)
    assert (await evals.get(execution.run_id)).status is RunStatus.CANCELLED


async def test_a_reader_that_goes_away_lets_the_database_go(evals: Evals) -> None:
    """More samples than fit between the database and the reader, which reads one chunk and leaves."""
    long = "x" * 20_000
    rows = [{**row, "question": f"{row['question']} {long}"} for row in question_rows(400)]
    execution = await prepared(evals, rows)
    async with evals.runtime.sessions() as session:
        plan = await load_plan(session, evals.runtime.files, execution)
    async with asyncio.timeout(20):
        async with aclosing(stream_samples(evals.runtime.sessions, plan)) as chunks:
            first = await anext(chunks)
        assert first.startswith(b'{"id"')
        # The same pool serves the whole of it afterwards.
        async with aclosing(stream_samples(evals.runtime.sessions, plan)) as chunks:
            whole = b"".join([chunk async for chunk in chunks])
    assert len(whole.splitlines()) == 400


async def set_status(evals: Evals, execution: Execution, status: str) -> None:
    async with evals.runtime.sessions.begin() as session:
        await session.execute(
            text("UPDATE runs SET status = :status WHERE id = :id"), {"status": status, "id": execution.run_id}
        )
