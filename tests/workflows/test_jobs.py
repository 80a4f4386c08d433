"""Jobs under a worker: killed, cancelled, out of money. What was answered and recorded is never asked again."""

from __future__ import annotations

from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from tests.support.evals import Evals, kill, spawn_worker, working
from tests.support.jobs import JUDGE, MODEL, Jobs, points, provider_reply
from tests.support.waiting import eventually

from assay.core.jobs.models import JobStepRow
from assay.core.jobs.work.ledger import CONCURRENCY
from assay.db.session import transaction
from assay.gateway.config import ModelConfig, PricesConfig
from assay.gateway.repository import save_model
from assay.gateway.types import Message, ModelRequest

PATIENCE = 60
pytestmark = pytest.mark.timeout(180)


@dataclass
class Provider:
    """Counts each request by all that it says."""

    asked: Counter[str] = field(default_factory=Counter[str])

    def reply(self, prompt: str, body: Mapping[str, Any]) -> str:
        self.asked[f"{body['model']}/{body['messages']}"] += 1
        return provider_reply(prompt, body)

    @property
    def repeated(self) -> int:
        return sum(count - 1 for count in self.asked.values())


@pytest.fixture
def provider(evals: Evals) -> Provider:
    provider = Provider()
    evals.models.behaviour.reply = provider.reply
    return provider


@pytest.fixture
def jobs(evals: Evals, provider: Provider) -> Jobs:
    return Jobs(evals)


@asynccontextmanager
async def worker_of(jobs: Jobs) -> AsyncGenerator[Process]:
    worker = await spawn_worker(jobs.evals.place)
    try:
        yield worker
    finally:
        await kill(worker)


async def steps(jobs: Jobs, job_id: UUID) -> int:
    async with jobs.evals.runtime.sessions() as session:
        statement = select(func.count()).select_from(JobStepRow).where(JobStepRow.job_id == job_id)
        return await session.scalar(statement) or 0


async def until_steps(jobs: Jobs, job_id: UUID, count: int) -> None:
    async def check() -> bool:
        return await steps(jobs, job_id) >= count

    await eventually(check, timeout=PATIENCE)


@dataclass(frozen=True, slots=True)
class Kind:
    """A job, and the numbers of recorded steps at which its worker is killed: in each of its phases."""

    id: str
    kind: str
    parameters: Mapping[str, Any]
    kills: tuple[int, ...]
    agent: Mapping[str, Any] = field(default_factory=dict[str, Any])


CRITERIA = {"evaluation_criteria": {"correctness": ["It is right."]}}
KINDS = [
    Kind("inference", "inference", {}, (1, 20)),
    # Baseline on train and validation, the first proposals, the candidates, the sealed cases.
    Kind("tuning", "prompt_tuning", {"seed": 3, "patience": 1}, (20, 47, 60, 95)),
    Kind("backtest", "model_backtesting", {"models": ["openai/strong"], "judge_model": JUDGE}, (5, 60), CRITERIA),
]


@pytest.mark.parametrize("case", KINDS, ids=lambda case: case.id)
async def test_a_worker_killed_in_every_phase(jobs: Jobs, provider: Provider, case: Kind) -> None:
    rows = points(60) if not case.agent else [{"input": row["input"]} for row in points(40)]
    await jobs.agent(rows, **case.agent)
    jobs.evals.models.behaviour.latency_seconds = 0.05
    job_id = await jobs.start(case.kind, case.parameters, num_iterations=2, candidates_per_iteration=1)

    for count in case.kills:
        async with worker_of(jobs):
            await until_steps(jobs, job_id, count)
    async with worker_of(jobs):
        job = await jobs.until(job_id, timeout=PATIENCE)

    assert job.status == "completed", job.result
    # Only what was under way when a worker died, and so was never recorded, is asked again.
    assert provider.repeated <= CONCURRENCY * len(case.kills)
    positions = [row.position for row in await jobs.iterations(job_id)]
    assert positions == sorted(set(positions)), "no iteration is there twice"


async def test_judge_scoring_of_a_killed_worker_goes_on(jobs: Jobs, provider: Provider) -> None:
    await jobs.agent((), **CRITERIA)
    rows = [{"input": f"q{n}", "output": f"a{n}"} for n in range(40)]
    jobs.evals.models.behaviour.latency_seconds = 0.05
    first = await jobs.start("uploaded_outputs_setup", {"rows": rows})
    async with worker_of(jobs):
        made: Any = (await jobs.until(first, timeout=PATIENCE)).result
        job_id = await jobs.start("judge_scoring", {"dataset": made["dataset"], "judge_model": JUDGE})
        await until_steps(jobs, job_id, 15)
    async with worker_of(jobs):
        job = await jobs.until(job_id, timeout=PATIENCE)

    result: Any = job.result
    assert result["spans_evaluated"] == 40
    assert provider.repeated <= CONCURRENCY


async def test_cancel_reaches_the_models_within_seconds(jobs: Jobs, provider: Provider) -> None:
    await jobs.agent(points(200))
    jobs.evals.models.behaviour.latency_seconds = 0.2
    job_id = await jobs.start("inference")
    async with working(jobs.evals):
        await until_steps(jobs, job_id, 10)
        await jobs.change(job_id, status="cancelled")

        async def quiet() -> bool:
            assert jobs.evals.models.stats.in_flight == 0
            return True

        await eventually(quiet, timeout=5)
        asked = provider.asked.total()
        job = await jobs.until(job_id)
        result: Any = job.result
        assert (job.status, result["cancelled_by_user"]) == ("cancelled", True)
        assert provider.asked.total() == asked < 200

        await jobs.change(job_id, status="pending")
        job = await jobs.until(job_id, "completed", timeout=PATIENCE)
        result = job.result
        assert (result["succeeded"], job.execution, "cancelled_by_user" in result) == (200, 2, False)
        assert provider.repeated <= CONCURRENCY


async def test_a_job_stops_at_its_budget_and_goes_on_with_more(jobs: Jobs, provider: Provider) -> None:
    prices = PricesConfig(input=Decimal(0), output=Decimal(1_000_000))
    async with transaction(jobs.evals.runtime.sessions) as session:
        config = ModelConfig(provider="openai", upstream="candidate", prices=prices)
        await save_model(session, MODEL, config=config, roles=())
    await jobs.evals.runtime.gateway.catalog.refresh(force=True)
    await jobs.agent(points(60))
    each = await _price(jobs)
    provider.asked.clear()

    job_id = await jobs.start("inference", {"budget_usd": float(20 * each)})
    await jobs.carry_out(job_id)

    job = await jobs.get(job_id)
    result: Any = job.result
    assert (job.status, job.paused_reason is not None) == ("pending", True)
    assert "budget" in result["paused"]["reason"]
    assert result["estimate"]["calls"] == 60
    assert result["estimate"]["cost_usd"] > 0
    assert 20 <= provider.asked.total() <= 20 + CONCURRENCY
    assert job.spent_usd == each * provider.asked.total()

    await jobs.change(job_id, status="pending", result={"parameters": {"budget_usd": float(100 * each)}})
    await jobs.carry_out(job_id)

    job = await jobs.get(job_id)
    result = job.result
    assert (job.status, result["succeeded"], "paused" in result) == ("completed", 60, False)
    assert provider.repeated == 0
    assert job.spent_usd == 60 * each
    assert job.paused_reason is None


async def _price(jobs: Jobs) -> Decimal:
    """What each answer of the provider costs: one token of output, whatever it says."""
    reply = await jobs.evals.runtime.gateway.respond(ModelRequest(MODEL, (Message("user", "price"),)))
    assert reply.cost_usd is not None
    return reply.cost_usd
