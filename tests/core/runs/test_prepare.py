"""Laying out: what is read, what is rendered, and that doing it again or at the same time does no harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.evals import MODEL, Evals, question_rows

from assay.core.runs.errors import RunNotFoundError, RunStoppedError
from assay.core.runs.ledger import CHUNK_SIZE, Execution
from assay.core.runs.prepare import Preparation, PreparationBusyError, prepare_run
from assay.core.runs.types import RunStatus
from assay.kit.errors import DomainError
from assay.kit.ids import new_id
from assay.sandbox.contract import Sandbox
from assay.sandbox.monty import MontySandbox

ONE = {"max_samples_per_task": 1}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with MontySandbox() as started:
        yield started


async def prepare(evals: Evals, run_id: UUID, sandbox: Sandbox, *, number: int = 1) -> Preparation:
    return await prepare_run(
        evals.runtime.sessions,
        store=evals.runtime.files,
        sandbox=sandbox,
        hub=evals.hub,
        execution=Execution(run_id, number),
    )


async def laid_out(evals: Evals, run_id: UUID) -> list[tuple[int, str, str | None]]:
    """Index, prompt and target of each item."""
    query = text("SELECT sample_index, prompt, target FROM run_items WHERE run_id = :id ORDER BY 1")
    async with evals.runtime.sessions() as session:
        return [(row[0], row[1], row[2]) for row in await session.execute(query, {"id": run_id})]


@pytest.mark.parametrize(
    ("task", "config", "items"),
    [
        ({}, {}, [(0, "q0 answer=0", "0"), (1, "q1 answer=1", "1"), (2, "q2 answer=2", "2")]),
        ({}, ONE, [(0, "q0 answer=0", "0")]),
        ({"prompt_template": "Q: {{question}}", "target_template": "x"}, ONE, [(0, "Q: q0 answer=0", "x")]),
        (
            {"fewshot": {"count": 1, "example_template": "{{prompt}}>{{target}}", "separator": "|"}},
            ONE,
            # A sample is no example for itself, and later rows are there although they are not evaluated.
            [(0, "q1 answer=1>1|q0 answer=0", "0")],
        ),
        (
            {"preprocess": {"source": "def transform(row):\n    return {'prompt': row['answer']}\n"}},
            {},
            [(0, "0", None), (1, "1", None), (2, "2", None)],
        ),
        (
            {"preprocess": {"contract": "batch", "source": "def transform_batch(rows):\n    return rows[1:]\n"}},
            {},
            [(0, "q1 answer=1", "1"), (1, "q2 answer=2", "2")],
        ),
    ],
    ids=["columns", "limit", "templates", "few-shot", "row preprocessor", "batch preprocessor"],
)  # fmt: skip
async def test_items(
    evals: Evals, sandbox: Sandbox, task: dict[str, Any], config: dict[str, Any], items: list[Any]
) -> None:
    run_id = await evals.start(await evals.suite(question_rows(3), task), **config)
    await prepare(evals, run_id, sandbox)
    assert await laid_out(evals, run_id) == items
    run = await evals.get(run_id)
    assert (run.status, run.total) == (RunStatus.IN_PROGRESS, len(items))
    assert run.started_at is not None


async def test_doing_it_again_changes_nothing(evals: Evals, sandbox: Sandbox) -> None:
    run_id = await evals.start(await evals.suite(question_rows(5)), models=[MODEL, "openai/other"])
    first = await prepare(evals, run_id, sandbox)
    before = await evals.samples(run_id)
    assert len(before) == 10
    assert await prepare(evals, run_id, sandbox) == first
    assert await evals.samples(run_id) == before


async def test_only_one_of_many_lays_out(evals: Evals, sandbox: Sandbox) -> None:
    run_id = await evals.start(await evals.suite(question_rows(3000)))
    outcomes = await asyncio.gather(*(prepare(evals, run_id, sandbox) for _ in range(4)), return_exceptions=True)
    assert all(isinstance(outcome, Preparation | PreparationBusyError) for outcome in outcomes)
    assert any(isinstance(outcome, Preparation) for outcome in outcomes)
    assert (await evals.get(run_id)).total == 3000
    await evals.check_counts(run_id)


@pytest.mark.parametrize(("concurrency", "lanes"), [(1, 1), (64, 1), (65, 2), (1024, 3)])
async def test_lanes(evals: Evals, sandbox: Sandbox, concurrency: int, lanes: int) -> None:
    """One for each 64 calls in flight, but no more than there are chunks."""
    run_id = await evals.start(await evals.suite(question_rows(2 * CHUNK_SIZE + 1)), concurrency=concurrency)
    assert (await prepare(evals, run_id, sandbox)).lanes == lanes


async def test_a_row_at_fault_leaves_nothing(evals: Evals, sandbox: Sandbox) -> None:
    rows = [*question_rows(2500), {"other": "x"}]
    run_id = await evals.start(await evals.suite(rows))
    with pytest.raises(DomainError, match="row 2501"):
        await prepare(evals, run_id, sandbox)
    assert await laid_out(evals, run_id) == []
    assert (await evals.get(run_id)).total == 0


async def test_a_cancelled_run_is_not_laid_out(evals: Evals, sandbox: Sandbox) -> None:
    run_id = await evals.start(await evals.suite(question_rows(3)))
    await evals.cancel(run_id)
    with pytest.raises(RunStoppedError):
        await prepare(evals, run_id, sandbox)
    with pytest.raises(RunStoppedError):
        await prepare(evals, run_id, sandbox, number=2)
    with pytest.raises(RunNotFoundError):
        await prepare(evals, new_id(), sandbox)
