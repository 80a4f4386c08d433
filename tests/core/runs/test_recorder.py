"""The recorder writes everything it was given once, in order, in bounded batches, through outages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.evals import Evals, question_rows

from assay.core.runs import ledger, recorder
from assay.core.runs.ledger import Execution, SampleResult, Standing
from assay.core.runs.prepare import prepare_run
from assay.core.runs.recorder import ChunkProgress, Recorder, Settlement
from assay.core.runs.types import RunStatus, SampleStatus
from assay.db.session import transaction
from assay.sandbox.monty import MontySandbox

COUNT = 40


async def prepared(evals: Evals) -> Execution:
    execution = Execution(await evals.start(await evals.suite(question_rows(COUNT))), 1)
    await prepare_run(
        evals.runtime.sessions, store=evals.runtime.files, sandbox=MontySandbox(), hub=evals.hub, execution=execution
    )
    async with transaction(evals.runtime.sessions) as session:
        await ledger.lease_chunk(session, execution, "1/0")
    return execution


def settlement(index: int, chunk: ChunkProgress | None, *, scores_only: bool = False, **values: Any) -> Settlement:
    status = SampleStatus.READY_TO_SCORE if chunk is None else SampleStatus.COMPLETED
    return Settlement(SampleResult(0, 0, index, status, values), chunk, scores_only=scores_only)


def noting(statuses: list[RunStatus]) -> Callable[[Sequence[SampleResult], Standing], None]:
    """Keeps the status after each write."""
    return lambda results, standing: statuses.append(standing.status)


async def test_everything_is_written_and_the_chunk_closed(evals: Evals) -> None:
    execution = await prepared(evals)
    seen: list[RunStatus] = []
    faults = [ConnectionResetError(), ConnectionResetError()]

    async def before_write() -> None:
        if faults:
            raise faults.pop()

    writer = Recorder(evals.runtime.sessions, execution, lane="1/0", on_written=noting(seen), before_write=before_write)
    chunk = ChunkProgress(0, COUNT)
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run())
        for index in range(COUNT):
            writer.put(settlement(index, None, output_text=str(index)))
            writer.put(settlement(index, chunk, scores_only=True, scores={"m": 1}))
            await asyncio.sleep(0)
        writer.close()
    assert (writer.recorded, writer.settled, chunk.remaining) == (2 * COUNT, COUNT, 0)
    assert set(seen) == {RunStatus.IN_PROGRESS}
    samples = await evals.samples(execution.run_id)
    assert [(s.output_text, s.scores) for s in samples] == [(str(i), {"m": 1}) for i in range(COUNT)]
    await evals.check_counts(execution.run_id)
    async with evals.runtime.sessions() as session:
        assert (await session.scalars(text("SELECT done FROM run_chunks"))).all() == [True]


async def test_long_outputs_make_small_batches(evals: Evals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "LARGEST_WRITE_CHARACTERS", 1000)
    execution = await prepared(evals)
    writes: list[RunStatus] = []

    async def before_write() -> None: ...

    writer = Recorder(
        evals.runtime.sessions, execution, lane="1/0", on_written=noting(writes), before_write=before_write
    )
    chunk = ChunkProgress(0, 6)
    for index in range(6):
        writer.put(settlement(index, chunk, output_text="x" * 600))
    writer.close()
    await writer.run()
    assert len(writes) == 3
    assert (await evals.get(execution.run_id)).completed == 6


@pytest.mark.parametrize("writing", [False, True], ids=["gathering", "writing"])
async def test_a_lane_that_is_given_up_writes_what_it_has(evals: Evals, *, writing: bool) -> None:
    execution = await prepared(evals)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def before_write() -> None:
        begun.set()
        if writing:
            await go_on.wait()

    writer = Recorder(evals.runtime.sessions, execution, lane="1/0", on_written=noting([]), before_write=before_write)
    chunk = ChunkProgress(0, COUNT)
    task = asyncio.create_task(writer.run())
    writer.put(settlement(0, chunk, output_text="0"))
    if writing:
        await begun.wait()
    else:
        await asyncio.sleep(0)
    writer.put(settlement(1, chunk, output_text="1"))
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    run = await evals.get(execution.run_id)
    assert (run.completed, run.status) == (2, RunStatus.IN_PROGRESS)
    async with evals.runtime.sessions() as session:
        assert (await session.scalars(text("SELECT done FROM run_chunks"))).all() == [False]
