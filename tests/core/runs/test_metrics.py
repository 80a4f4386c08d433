"""A run's metrics, computed by the database from its samples."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import text
from tests.support.evals import MODEL, Evals, question_rows, working

from assay.core.runs.metrics import MeasuredRun, MeasuredTask, compute_metrics
from assay.db.session import transaction

SCORES = (0.1, 1e16, 0.3, -1e16, 0.7, 1e-9, 1 / 3)
"""Their sum as floating-point numbers depends on the order."""

_SET_SCORE = text("""
    UPDATE run_samples SET scores = jsonb_build_object('score', CAST(:score AS double precision))
    WHERE run_id = :run_id AND sample_index = :place AND repeat_no = :repeat
""")


async def test_no_metric_depends_on_the_order_of_rows(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(len(SCORES)))
    async with working(evals):
        run = await evals.finished(suite_id, repeats=2)
    measured = MeasuredRun(run.id, [MODEL], [MeasuredTask("t", ())], repeats=2)

    async def metrics_of(order: list[int]) -> dict[str, Any]:
        async with transaction(evals.runtime.sessions) as session:
            # An updated row moves to the end of the table.
            for place in order:
                for repeat in (0, 1):
                    values = {"run_id": run.id, "place": place, "repeat": repeat, "score": SCORES[place]}
                    await session.execute(_SET_SCORE, values)
            return await compute_metrics(session, measured, group_metrics={})

    places = list(range(len(SCORES)))
    orders = [places[turn:] + places[:turn] for turn in places] + [places[::-1]]
    found = [await metrics_of(order) for order in orders]
    assert found[0]["overall"]["score"] == float(sum(Decimal(str(score)) for score in SCORES) / len(SCORES))
    assert found[0]["by_task"]["t"]["repeats"]["metrics"]["score"]
    assert [metrics for metrics in found if metrics != found[0]] == []
