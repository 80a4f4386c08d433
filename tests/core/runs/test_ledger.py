"""The ledger is exact: every sample ends once, the counters are those of the rows, older executions are refused."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID

from sqlalchemy import text
from tests.support.evals import Evals, question_rows

from assay.core.runs import ledger
from assay.core.runs.ledger import Execution, SampleResult
from assay.core.runs.prepare import prepare_run
from assay.core.runs.types import RunStatus, SampleStatus
from assay.db.session import transaction
from assay.sandbox.monty import MontySandbox

DONE, FAILED, READY = SampleStatus.COMPLETED, SampleStatus.FAILED, SampleStatus.READY_TO_SCORE


async def prepared(evals: Evals, count: int, **config: Any) -> Execution:
    """A run that is laid out."""
    execution = Execution(await evals.start(await evals.suite(question_rows(count)), **config), 1)
    await prepare_run(
        evals.runtime.sessions, store=evals.runtime.files, sandbox=MontySandbox(), hub=evals.hub, execution=execution
    )
    return execution


def result(index: int, status: SampleStatus = DONE, **values: Any) -> SampleResult:
    return SampleResult(0, 0, index, status, values)


async def record(evals: Evals, execution: Execution, *results: SampleResult) -> RunStatus:
    async with transaction(evals.runtime.sessions) as session:
        return (await ledger.record_answers(session, execution, results)).status


async def set_run(evals: Evals, run_id: UUID, assignment: str) -> None:
    async with evals.runtime.sessions.begin() as session:
        await session.execute(text(f"UPDATE runs SET {assignment} WHERE id = :id"), {"id": run_id})


async def counts(evals: Evals, execution: Execution) -> tuple[int, int]:
    run = await evals.get(execution.run_id)
    return run.completed, run.failed


async def test_a_sample_ends_once(evals: Evals) -> None:
    execution = await prepared(evals, 4)
    assert await record(evals, execution, result(0, output_text="first"), result(1, FAILED)) is RunStatus.IN_PROGRESS
    await record(evals, execution, result(0, FAILED, output_text="second"), result(1), result(2, READY), result(9))
    assert await counts(evals, execution) == (1, 1)
    async with transaction(evals.runtime.sessions) as session:
        await ledger.record_scores(session, execution, [result(2, scores={"m": 1}), result(2, FAILED)][:1])
    samples = await evals.samples(execution.run_id)
    assert [sample.status for sample in samples] == [DONE, FAILED, DONE, SampleStatus.QUEUED]
    assert samples[0].output_text == "first"
    await evals.check_counts(execution.run_id)


async def test_counters_stay_exact_under_writers_that_overlap(evals: Evals) -> None:
    """Eight writers record the same samples in orders of their own; without one order of locks they would deadlock."""
    execution = await prepared(evals, 200)
    draw = random.Random(5)

    async def write(writer: int) -> None:
        indexes = list(range(200))
        draw.shuffle(indexes)
        for start in range(0, 200, 25):
            batch = [result(i, FAILED if (i + writer) % 3 == 0 else DONE) for i in indexes[start : start + 25]]
            await record(evals, execution, *batch)

    async with asyncio.TaskGroup() as group:
        for writer in range(8):
            group.create_task(write(writer))
    assert sum(await counts(evals, execution)) == 200
    await evals.check_counts(execution.run_id)


async def test_an_older_execution_is_refused(evals: Evals) -> None:
    execution = await prepared(evals, 3)
    async with transaction(evals.runtime.sessions) as session:
        held = (await ledger.lease_chunk(session, execution, "1/0")).chunk
    assert held is not None
    await set_run(evals, execution.run_id, "execution = 2")
    newer = Execution(execution.run_id, 2)
    async with transaction(evals.runtime.sessions) as session:
        await ledger.plan_chunks(session, execution.run_id)
        assert (await ledger.lease_chunk(session, newer, "2/0")).chunk == held
    assert await record(evals, execution, result(0)) is RunStatus.CANCELLED
    async with transaction(evals.runtime.sessions) as session:
        assert await ledger.read_status(session, execution) is RunStatus.CANCELLED
        assert await ledger.renew_leases(session, execution, "1/0") is RunStatus.CANCELLED
        assert (await ledger.lease_chunk(session, execution, "1/1")).chunk is None
        await ledger.close_chunks(session, execution.run_id, "1/0", [held.chunk_no])
        assert await ledger.has_free_chunks(session, execution.run_id, "2/0")
    assert await counts(evals, execution) == (0, 0)
    assert await record(evals, newer, result(0)) is RunStatus.IN_PROGRESS
    assert await counts(evals, execution) == (1, 0)


async def test_leases_exclude_each_other_until_they_run_out(evals: Evals) -> None:
    execution = await prepared(evals, ledger.CHUNK_SIZE + 1)
    async with transaction(evals.runtime.sessions) as session:
        first = (await ledger.lease_chunk(session, execution, "1/0")).chunk
        second = (await ledger.lease_chunk(session, execution, "1/1")).chunk
        assert first is not None
        assert second is not None
        assert {first.chunk_no, second.chunk_no} == {0, 1}
        assert len(await ledger.load_chunk(session, execution.run_id, first)) == ledger.CHUNK_SIZE
        assert (await ledger.lease_chunk(session, execution, "1/2")).chunk is None
        assert not await ledger.has_free_chunks(session, execution.run_id, "1/2")
        assert await ledger.has_free_chunks(session, execution.run_id, "1/1")
        await ledger.close_chunks(session, execution.run_id, "1/0", [second.chunk_no])
        assert await ledger.has_free_chunks(session, execution.run_id, "1/1")
        await session.execute(text("UPDATE run_chunks SET leased_until = now() - interval '1 s' WHERE lane = '1/1'"))
        assert (await ledger.lease_chunk(session, execution, "1/2")).chunk == second
        await ledger.release_chunks(session, execution.run_id, "1/2")
        assert (await ledger.lease_chunk(session, execution, "1/0")).chunk == second


async def test_a_run_that_is_cancelling_or_deleted_gives_no_leases(evals: Evals) -> None:
    execution = await prepared(evals, 3)
    for assignment, status in (
        ("deleted_at = now()", RunStatus.CANCELLING),
        ("deleted_at = NULL, status = 'cancelling'", RunStatus.CANCELLING),
        ("status = 'failed', deleted_at = now()", RunStatus.FAILED),
    ):
        await set_run(evals, execution.run_id, assignment)
        async with transaction(evals.runtime.sessions) as session:
            lease = await ledger.lease_chunk(session, execution, "1/0")
        assert (lease.status, lease.chunk) == (status, None)


async def test_chunks_hold_only_what_is_outstanding(evals: Evals) -> None:
    execution = await prepared(evals, 10)
    await record(evals, execution, *(result(i) for i in range(8)))
    async with transaction(evals.runtime.sessions) as session:
        assert await ledger.plan_chunks(session, execution.run_id) == 1
        chunk = (await ledger.lease_chunk(session, execution, "1/0")).chunk
        assert chunk is not None
        assert (chunk.first_index, chunk.last_index) == (8, 9)
        assert [item.sample_index for item in await ledger.load_chunk(session, execution.run_id, chunk)] == [8, 9]


async def test_one_odd_value_does_not_stop_the_batch(evals: Evals) -> None:
    execution = await prepared(evals, 2)
    odd = result(0, scores={"m\0": 1}, judge={"note": "\ud800", "size": 2**80}, output_text="x\0")
    await record(evals, execution, odd, result(1))
    first, second = await evals.samples(execution.run_id)
    assert (first.scores, first.output_text, second.status) == ({"m�": 1}, "x�", DONE)
