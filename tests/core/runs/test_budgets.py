"""The ceiling of a run: it stops there, says why, and goes on with more."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from tests.support.evals import MODEL, Evals, question_rows, working

from assay.core.runs import service
from assay.core.runs.errors import RunInputError
from assay.core.runs.types import Run, RunStatus
from assay.db.session import transaction
from assay.gateway.config import ModelConfig, PricesConfig
from assay.gateway.repository import save_model

SAMPLES = 600
CONCURRENCY = 8
JUDGE = "openai/judge"
LANE = 64
"""Of a run's concurrency; more than one lane from there on."""
GRADER = """
def grade(sample, item, ctx):
    return 1.0 if ctx.responses_create(input="yes?")["output_text"] else 0.0
"""


@pytest.fixture
async def priced(evals: Evals) -> Evals:
    """Each token of output costs a dollar, and every answer is one."""

    def reply(prompt: str, body: Mapping[str, Any]) -> str:
        return "yes"

    evals.models.behaviour.reply = reply
    prices = PricesConfig(input=Decimal(0), output=Decimal(1_000_000))
    async with transaction(evals.runtime.sessions) as session:
        for model in (MODEL, JUDGE):
            config = ModelConfig(provider="openai", upstream=model.partition("/")[2], prices=prices)
            await save_model(session, model, config=config, roles=())
    await evals.runtime.gateway.catalog.refresh(force=True)
    return evals


async def retry(evals: Evals, run_id: UUID, budget_usd: Decimal | None = None) -> Run:
    async with transaction(evals.runtime.sessions) as session:
        return await service.retry_run(session, evals.principal, run_id=run_id, budget_usd=budget_usd)


@pytest.mark.parametrize(
    ("concurrency", "most"), [(CONCURRENCY, CONCURRENCY), (2 * LANE, 4 * LANE)], ids=["one lane", "two lanes"]
)
async def test_a_run_stops_at_its_budget_and_goes_on_with_more(priced: Evals, concurrency: int, most: int) -> None:
    priced.models.behaviour.latency_seconds = 0.02
    suite_id = await priced.suite(question_rows(SAMPLES))
    async with working(priced):
        run_id = await priced.start(suite_id, budget_usd=Decimal(100), concurrency=concurrency)
        run = await priced.until(run_id)

        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert run.error["code"] == "budget_reached"
        assert "of the budget of $100.0000 is spent" in run.error["message"]
        # What was in flight at the ceiling is paid, and kept. A lane learns of what others spend when they write.
        paid = priced.models.stats.requests
        assert 100 <= paid <= 100 + most
        assert run.completed == paid

        await retry(priced, run_id)
        again = await priced.until(run_id, RunStatus.FAILED)
        assert again.error is not None
        assert again.error["code"] == "budget_reached"
        assert priced.models.stats.requests == paid, "nothing more is asked under the same ceiling"

        await retry(priced, run_id, Decimal(1000))
        run = await priced.until(run_id)
    assert run.status is RunStatus.COMPLETED, run.error
    assert run.cost_usd == priced.models.stats.requests == SAMPLES, "nothing is asked twice"


async def test_judges_count(priced: Evals) -> None:
    grader = {"type": "python", "contract": "model_backed", "source": GRADER}
    suite_id = await priced.suite(question_rows(100), {"id": "t", "type": "custom", "grader": grader})
    async with working(priced):
        run_id = await priced.start(
            suite_id,
            budget_usd=Decimal(60),
            concurrency=CONCURRENCY,
            grader_concurrency=CONCURRENCY,
            judge_model=JUDGE,
        )
        run = await priced.until(run_id)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        paid = priced.models.stats.requests
        assert 60 <= paid <= 60 + 3 * CONCURRENCY
        assert run.completed < 50, "each sample costs two answers"

        await retry(priced, run_id, Decimal(1000))
        run = await priced.until(run_id)
    assert run.status is RunStatus.COMPLETED, run.error
    assert run.cost_usd == priced.models.stats.requests == 200


async def test_what_fits_is_not_stopped(priced: Evals) -> None:
    suite_id = await priced.suite(question_rows(20))
    async with working(priced):
        run = await priced.finished(suite_id, budget_usd=Decimal(20))
    assert run.status is RunStatus.COMPLETED, run.error
    assert run.cost_usd == 20


async def test_a_model_without_a_price_is_refused_under_a_budget(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(3))
    async with working(evals):
        run = await evals.finished(suite_id, models=("simulator/strong",), budget_usd=Decimal(1))
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert run.error["code"] == "unpriced_model"


@pytest.mark.parametrize("budget", [Decimal(0), Decimal(-1), Decimal("NaN"), Decimal("Infinity"), Decimal(10) ** 12])
async def test_a_budget_that_is_none(evals: Evals, budget: Decimal) -> None:
    suite_id = await evals.suite(question_rows(1))
    with pytest.raises(RunInputError, match="budget_usd"):
        await evals.start(suite_id, budget_usd=budget)
