"""The outbox reaches Temporal at least once, whatever happens between."""

from __future__ import annotations

import asyncio

from sqlalchemy import text
from temporalio.client import Client
from tests.support.evals import Evals, question_rows, working
from tests.support.waiting import eventually

from assay.core.outbox.service import LEASE, lease_due
from assay.core.runs.service import workflow_id
from assay.core.runs.types import RunStatus
from assay.db.session import transaction
from assay.workflows.dispatch import Dispatcher


def dispatcher(evals: Evals, client: Client | None = None) -> Dispatcher:
    return Dispatcher(evals.runtime.sessions, client or evals.runtime.temporal, task_queue=evals.place.task_queue)


async def pending(evals: Evals) -> list[tuple[str, int, str | None]]:
    """Action, attempts and last error of each command."""
    async with evals.runtime.sessions() as session:
        rows = await session.execute(text("SELECT action, attempts, last_error FROM outbox ORDER BY id"))
        return [(row[0], row[1], row[2]) for row in rows]


async def test_a_start_is_carried_out_once(evals: Evals) -> None:
    run_id = await evals.start(await evals.suite(question_rows(3)))
    counts = await asyncio.gather(*(dispatcher(evals).dispatch_due() for _ in range(4)))
    assert sum(counts) == 1
    assert await pending(evals) == []
    async with working(evals):
        assert (await evals.until(run_id)).status is RunStatus.COMPLETED


async def test_a_start_that_was_carried_out_but_not_forgotten_is_harmless(evals: Evals) -> None:
    """A crash between the two; the lease runs out, and the second start finds the first."""
    run_id = await evals.start(await evals.suite(question_rows(3)))
    async with transaction(evals.runtime.sessions) as session:
        [entry] = await lease_due(session)
    assert await dispatcher(evals).dispatch_due() == 0
    await evals.runtime.temporal.start_workflow(
        entry.command.workflow,
        {"run_id": str(run_id), "execution": 1},
        id=entry.command.workflow_id,
        task_queue=evals.place.task_queue,
    )
    async with evals.runtime.sessions.begin() as session:
        await session.execute(text("UPDATE outbox SET due_at = due_at - CAST(:lease AS interval)"), {"lease": LEASE})
    assert await dispatcher(evals).dispatch_due() == 1
    assert await pending(evals) == []
    async with working(evals):
        assert (await evals.until(run_id)).status is RunStatus.COMPLETED
    assert evals.models.stats.requests == 3


async def test_a_temporal_that_is_away_postpones(evals: Evals) -> None:
    await evals.start(await evals.suite(question_rows(3)))
    away = await Client.connect("127.0.0.1:9", lazy=True)
    assert await dispatcher(evals, away).dispatch_due() == 1
    [(action, attempts, error)] = await pending(evals)
    assert (action, attempts) == ("start", 1)
    assert error
    assert await dispatcher(evals).dispatch_due() == 0


async def test_cancelling_a_run_that_has_ended_is_harmless(evals: Evals) -> None:
    async with working(evals):
        run = await evals.finished(await evals.suite(question_rows(3)))
        handle = evals.runtime.temporal.get_workflow_handle(workflow_id(run.id, 1))
        await handle.result()
        async with evals.runtime.sessions.begin() as session:
            await session.execute(
                text("""
                    INSERT INTO outbox (id, action, workflow, workflow_id, arguments, attempts, created_at, due_at)
                    VALUES (gen_random_uuid(), 'cancel', 'eval_run', :workflow_id,
                            jsonb_build_object('run_id', CAST(:run_id AS text), 'execution', 1), 0, now(), now())
                """),
                {"workflow_id": workflow_id(run.id, 1), "run_id": str(run.id)},
            )

        async def forgotten() -> bool:
            return await pending(evals) == []

        await eventually(forgotten)
    assert (await evals.get(run.id)).status is RunStatus.COMPLETED
