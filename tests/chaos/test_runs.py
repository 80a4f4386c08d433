"""Runs from their start to their end, with a worker in this process."""

from __future__ import annotations

from tests.support.evals import Evals, question_rows, working

from assay.core.runs.types import RunStatus


async def test_a_run_completes_with_its_metrics(evals: Evals) -> None:
    async with working(evals):
        run = await evals.finished(await evals.suite(question_rows(40, wrong_every=4)), concurrency=8)
    assert (run.status, run.total, run.completed, run.failed) == (RunStatus.COMPLETED, 40, 40, 0), run.error
    assert run.metrics is not None
    assert run.metrics["overall"]["exact_match"] == 0.75
    await evals.check_counts(run.id)
