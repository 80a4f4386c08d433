"""Jobs that are stopped under way: cancelled, or out of money. What was answered and recorded is never asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from temporalio.client import WorkflowExecutionStatus
from tests.support.evals import Evals, working
from tests.support.jobs import JUDGE, STRONG, Jobs, points, provider_reply
from tests.support.waiting import eventually

from assay.core.jobs.models import JobStepRow
from assay.core.jobs.work.ledger import CONCURRENCY

PATIENCE = 50
CANCEL_SECONDS = 5
CRITERIA = {"evaluation_criteria": {"correctness": ["It is right."]}}
OUTPUTS = [{"input": f"q{n}", "details": {"output": f"a{n}"}} for n in range(40)]
INPUTS = [{"input": row["input"]} for row in points(40)]


@dataclass
class Provider:
    """Counts what it was asked, and what that costs at a dollar a token of output."""

    asked: int = 0
    tokens: list[int] = field(default_factory=list[int])

    def reply(self, prompt: str, body: Mapping[str, Any]) -> str:
        self.asked += 1
        text = provider_reply(prompt, body)
        self.tokens.append(len(text) // 4 + 1)
        return text


@pytest.fixture
def provider(evals: Evals) -> Provider:
    provider = Provider()
    evals.models.behaviour.reply = provider.reply
    return provider


@pytest.fixture
def jobs(evals: Evals, provider: Provider) -> Jobs:
    return Jobs(evals)


@dataclass(frozen=True, slots=True)
class Kind:
    """A job that asks models, and a text of the calls of one of its phases."""

    id: str
    kind: str
    rows: list[dict[str, Any]]
    parameters: Mapping[str, Any]
    phase: str


KINDS = [
    Kind("inference", "inference", INPUTS, {}, "answer="),
    Kind("judge scoring", "judge_scoring", OUTPUTS, {"judge_model": JUDGE}, "impartial evaluator"),
    Kind("tuning, its candidates", "prompt_tuning", points(60), {"seed": 3}, "answer="),
    Kind("tuning, its analyzer", "prompt_tuning", points(60), {"seed": 3}, "You improve the system prompt"),
    Kind(
        "tuning, GEPA's analyzer",
        "prompt_tuning",
        points(60),
        {"seed": 3, "proposer": "gepa"},
        "You improve the system prompt",
    ),
    Kind(
        "backtest, its judge",
        "model_backtesting",
        INPUTS,
        {"models": [STRONG], "judge_model": JUDGE},
        "impartial evaluator",
    ),
]
each_kind = pytest.mark.parametrize("case", KINDS, ids=lambda case: case.id)


async def recorded(jobs: Jobs, job_id: UUID) -> int:
    """How many calls of a job are on record."""
    step = JobStepRow
    async with jobs.evals.runtime.sessions() as session:
        statement = select(func.count()).select_from(step).where(step.job_id == job_id, step.key != "target")
        return await session.scalar(statement) or 0


async def until_let_go(jobs: Jobs, job_id: UUID, *, timeout: float) -> None:
    """Wait until no worker is at the job any more."""
    reference = (await jobs.get(job_id)).task_reference
    handle = jobs.evals.runtime.temporal.get_workflow_handle(reference)

    async def check() -> bool:
        return (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING

    await eventually(check, timeout=timeout)


@each_kind
async def test_cancel_takes_effect_while_a_model_does_not_answer(jobs: Jobs, provider: Provider, case: Kind) -> None:
    behaviour, stats = jobs.evals.models.behaviour, jobs.evals.models.stats
    behaviour.hanging = case.phase
    await jobs.agent(case.rows, **CRITERIA)
    job_id = await jobs.start(case.kind, case.parameters, num_iterations=1, candidates_per_iteration=1)
    async with working(jobs.evals):
        await eventually(lambda: stats.in_flight > 0, timeout=PATIENCE)
        await jobs.change(job_id, status="cancelled")
        await until_let_go(jobs, job_id, timeout=CANCEL_SECONDS)

        requests, job = stats.requests, await jobs.get(job_id)
        result: Any = job.result
        assert (job.status, result["cancelled_by_user"]) == ("cancelled", True)

        asked = await recorded(jobs, job_id)
        behaviour.hanging = None
        await jobs.change(job_id, status="pending")
        job = await jobs.until(job_id, "completed", timeout=PATIENCE)
    result = job.result
    assert (job.execution, "cancelled_by_user" in result) == (2, False)
    # Nothing was asked after the cancellation, and nothing that was recorded before it was asked again.
    assert stats.requests - requests == await recorded(jobs, job_id) - asked


async def test_cancel_keeps_the_answers_that_are_there(jobs: Jobs, provider: Provider) -> None:
    await jobs.agent(points(300))
    jobs.evals.models.behaviour.latency_seconds = 0.2
    job_id = await jobs.start("inference")
    async with working(jobs.evals):

        async def under_way() -> bool:
            return await recorded(jobs, job_id) >= 20

        await eventually(under_way, timeout=PATIENCE)
        before = provider.asked
        await jobs.change(job_id, status="cancelled")
        await until_let_go(jobs, job_id, timeout=CANCEL_SECONDS)
        # Those that were in flight may have been counted later.
        assert provider.asked <= before + 2 * CONCURRENCY
        assert provider.asked - await recorded(jobs, job_id) <= CONCURRENCY
        lost = provider.asked - await recorded(jobs, job_id)

        jobs.evals.models.behaviour.latency_seconds = 0
        await jobs.change(job_id, status="pending")
        job = await jobs.until(job_id, "completed", timeout=PATIENCE)
    result: Any = job.result
    assert result["succeeded"] == 300
    assert provider.asked == await recorded(jobs, job_id) + lost


async def test_a_deleted_job_is_let_go(jobs: Jobs, provider: Provider) -> None:
    jobs.evals.models.behaviour.hang = True
    await jobs.agent(points(10))
    job_id = await jobs.start("inference")
    reference = (await jobs.get(job_id)).task_reference
    async with working(jobs.evals):
        await eventually(lambda: jobs.evals.models.stats.in_flight > 0, timeout=PATIENCE)
        await jobs.delete(job_id)
        handle = jobs.evals.runtime.temporal.get_workflow_handle(reference)

        async def let_go() -> bool:
            return (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING

        await eventually(let_go, timeout=CANCEL_SECONDS)
    assert provider.asked == 0


@each_kind
async def test_a_job_stops_at_its_budget_and_goes_on_with_more(jobs: Jobs, provider: Provider, case: Kind) -> None:
    await jobs.set_prices()
    await jobs.agent(case.rows, **CRITERIA)

    job_id = await jobs.start(
        case.kind, {**case.parameters, "budget_usd": 30}, num_iterations=1, candidates_per_iteration=1
    )
    await jobs.carry_out(job_id)

    job = await jobs.get(job_id)
    result: Any = job.result
    assert (job.status, job.paused_reason is not None) == ("pending", True)
    assert "of the budget of $30.0000 is spent" in result["paused"]["reason"]
    assert result["estimate"]["cost_usd"] > 30
    # Candidates, judges and analyzers all count, and no more calls are made than were in flight at the ceiling.
    assert job.spent_usd == sum(provider.tokens)
    assert 30 <= job.spent_usd < 30 + CONCURRENCY * max(provider.tokens)

    await jobs.change(job_id, status="pending", result={"parameters": {**case.parameters, "budget_usd": 100_000}})
    await jobs.carry_out(job_id)

    job = await jobs.get(job_id)
    result = job.result
    assert (job.status, job.paused_reason, "paused" in result) == ("completed", None, False)
    assert provider.asked == await recorded(jobs, job_id), "nothing is asked twice"
    assert job.spent_usd == sum(provider.tokens) == result["spent_usd"]
