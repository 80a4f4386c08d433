"""Runs go on although the durable engine has forgotten them."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from tests.support.evals import Evals, question_rows, working

from assay.core.runs.service import SILENCE, revive_silent_runs
from assay.core.runs.types import RunStatus
from assay.db.session import transaction
from assay.kit.clock import utc_now


async def _forget_start(evals: Evals) -> None:
    async with transaction(evals.runtime.sessions) as session:
        await session.execute(text("DELETE FROM outbox"))


async def _age(evals: Evals, age: timedelta) -> None:
    async with transaction(evals.runtime.sessions) as session:
        await session.execute(text("UPDATE runs SET updated_at = :then"), {"then": utc_now() - age})


async def _revive(evals: Evals) -> int:
    async with transaction(evals.runtime.sessions) as session:
        return await revive_silent_runs(session)


async def test_run_whose_start_was_lost_is_started_again(evals: Evals) -> None:
    run_id = await evals.start(await evals.suite(question_rows(3)))
    await _forget_start(evals)
    assert await _revive(evals) == 0, "a run that was made just now is not silent"
    await _age(evals, SILENCE * 2)
    assert await _revive(evals) == 1
    async with working(evals):
        assert (await evals.until(run_id)).status is RunStatus.COMPLETED


async def test_runs_that_are_over_stay_over(evals: Evals) -> None:
    async with working(evals):
        await evals.finished(await evals.suite(question_rows(3)))
    await _age(evals, SILENCE * 2)
    assert await _revive(evals) == 0


async def test_starting_twice_carries_a_run_out_once(evals: Evals) -> None:
    run_id = await evals.start(await evals.suite(question_rows(3)))
    await _age(evals, SILENCE * 2)
    await _revive(evals)
    async with working(evals):
        run = await evals.until(run_id)
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 3)
    assert evals.models.stats.requests == 3
