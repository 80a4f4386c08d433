"""Agents that are Python functions: they run in the sandbox only, and what they ask is on the job's books."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.support.jobs import MODEL, Jobs, points, provider_reply

from assay.core.datasets.models import DatasetItemRow
from assay.core.jobs.models import JobStepRow
from assay.core.jobs.work.ledger import CONCURRENCY
from assay.core.targets.service import create_prompt
from assay.db.session import transaction
from assay.sandbox import MontySandbox, Sandbox

WEAK = """
SYSTEM = "Answer the question."

def run(given, ctx):
    reply = ctx.responses_create(input=given, instructions=SYSTEM)
    return reply["output_text"]
"""
STRONG = WEAK.replace("Answer the question.", "Work carefully, step by step, and give only the number.")
TWICE = """
def answer_it(given, ctx):
    first = ctx.responses_create(input=given["q"])["output_text"]
    second = ctx.responses_create(model="openai/strong", input=[{"role": "user", "content": given["q"] + " again"}])
    return {"first": first, "second": second["output_text"], "model": second["model"]}
"""

UNSUPPORTED = "unsupported_code"


@pytest.fixture(scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with MontySandbox() as sandbox:
        yield sandbox


@pytest.fixture
def jobs(jobs: Jobs, sandbox: Sandbox) -> Jobs:
    jobs.sandbox = sandbox
    return jobs


async def agent_of(jobs: Jobs, code: str, rows: list[dict[str, Any]], **fields: Any) -> None:
    """An agent whose newest prompt has only code."""
    agent_id = await jobs.agent(rows, prompt="", **fields)
    async with transaction(jobs.evals.runtime.sessions) as session:
        await create_prompt(session, jobs.principal, {"agent_id": agent_id, "code": code})


async def outputs(jobs: Jobs, job: Any) -> list[str]:
    async with jobs.evals.runtime.sessions() as session:
        item = DatasetItemRow
        rows = await session.scalars(
            select(item).where(item.dataset_id == UUID(job.result["dataset"])).order_by(item.position)
        )
        return [row.details["output"] for row in rows if row.details]


async def keys(jobs: Jobs, job_id: UUID) -> list[str]:
    async with jobs.evals.runtime.sessions() as session:
        return list(await session.scalars(select(JobStepRow.key).where(JobStepRow.job_id == job_id)))


async def test_a_function_answers_cases_and_its_calls_are_steps(jobs: Jobs) -> None:
    rows = [{"input": {"q": f"q{n} answer={n}"}} for n in range(3)]
    await agent_of(jobs, TWICE, rows, entrypoint_fn="answer_it")

    job = await jobs.finished("inference")

    result: Any = job.result
    assert (job.status, result["succeeded"]) == ("completed", 3), result
    told = [json.loads(output) for output in await outputs(jobs, job)]
    assert {one["model"] for one in told} == {"openai/strong"}
    calls = [key for key in await keys(jobs, job.id) if "/call/" in key]
    assert len(calls) == 6
    assert jobs.evals.models.stats.requests == 6


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def run(given):\n    yield 1\n", "no generator functions"),
        ("import httpx\n\ndef run(given):\n    return httpx.get('http://x').text\n", "runs only in the sandbox"),
        ("def other(given):\n    return 1\n", "must define `def run(given)`"),
        ("def run(given, ctx, more):\n    return 1\n", "takes the wrong arguments"),
        ("class Agent:\n    pass\n", "must define `def run(given)`"),
    ],
    ids=["generator", "third party", "no entry", "arguments", "class"],
)
async def test_code_that_needs_more_than_the_sandbox_has_is_refused(jobs: Jobs, code: str, says: str) -> None:
    await agent_of(jobs, code, points(3))

    job = await jobs.finished("inference")

    result: Any = job.result
    assert (job.status, result["error_code"]) == ("failed", "unsupported_code"), result
    assert says in result["error"]
    assert jobs.evals.models.stats.requests == 0


@pytest.mark.parametrize(
    ("code", "says", "fault"),
    [
        ("def run(given):\n    return open('/etc/passwd').read()\n", "The code failed", UNSUPPORTED),
        ("import os\n\ndef run(given):\n    return os.environ\n", "not supported", UNSUPPORTED),
        ("def run(given):\n    raise ValueError('boom')\n", "boom", UNSUPPORTED),
        (
            "def run(given, ctx):\n    return ctx.embeddings_create(input='x')\n",
            "ctx.responses_create only",
            UNSUPPORTED,
        ),
        ("def run(given, ctx):\n    return ctx.responses_create(input=5)\n", "needs `input`", UNSUPPORTED),
        (
            "def run(given, ctx):\n    return ctx.responses_create(input='x', model='nobody/x')\n",
            "nobody/x",
            "no_model",
        ),
        ("def run(given, ctx):\n    while True:\n        ctx.responses_create(input='x')\n", "more than", UNSUPPORTED),
    ],
    ids=["file", "environment", "raises", "embeddings", "input", "model", "endless"],
)
async def test_what_code_does_wrong_is_told(jobs: Jobs, code: str, says: str, fault: str) -> None:
    await agent_of(jobs, code, points(1))

    job = await jobs.finished("inference")

    result: Any = job.result
    assert (job.status, result["error_code"]) == ("failed", fault)
    assert says in result["error"], result


async def test_code_cannot_go_on_when_the_purse_is_empty(jobs: Jobs) -> None:
    await jobs.set_prices()
    code = """
def run(given, ctx):
    found = []
    for number in range(20):
        try:
            found.append(ctx.responses_create(input=given + str(number))["output_text"])
        except Exception:
            pass
    return len(found)
"""
    await agent_of(jobs, code, points(30))

    job_id = await jobs.start("inference", {"budget_usd": 50})
    await jobs.carry_out(job_id)

    job = await jobs.get(job_id)
    assert (job.status, job.paused_reason is not None) == ("pending", True)
    # Answers of the provider are one or two tokens.
    assert 50 <= job.spent_usd < 50 + 2 * CONCURRENCY
    asked = jobs.evals.models.stats.requests

    await jobs.change(job_id, status="pending", result={"parameters": {"budget_usd": 100_000}})
    await jobs.carry_out(job_id)

    assert (await jobs.get(job_id)).status == "completed"
    assert asked < jobs.evals.models.stats.requests == 20 * 30, "no call is repeated"


async def test_a_function_is_tuned(jobs: Jobs) -> None:
    def reply(prompt: str, body: Mapping[str, Any]) -> str:
        if body["model"] == "analyzer":
            assert "`run`" in body["messages"][0]["content"]
            # The first focus gets something that cannot run.
            broken = "say exactly what to do" in prompt
            return json.dumps({"change": "care", "prompt": "def run(given):\n    yield 1" if broken else STRONG})
        return provider_reply(prompt, body)

    jobs.evals.models.behaviour.reply = reply
    await agent_of(jobs, WEAK, points(120))

    job = await jobs.finished("prompt_tuning", {"seed": 3}, num_iterations=1, candidates_per_iteration=2)

    result: Any = job.result
    assert (job.status, result["status"]) == ("completed", "improved"), result
    assert job.best_code == STRONG
    assert "1 of 2 proposals could not be had" in str(job.logs)


async def test_the_best_code_of_one_job_is_the_program_of_another(jobs: Jobs) -> None:
    await jobs.agent(points(10))
    client_run = await jobs.start("prompt_tuning", status="completed", best_code=STRONG)

    job = await jobs.finished("model_backtesting", {"job": str(client_run), "models": ["openai/strong", "openai/weak"]})

    result: Any = job.result
    assert job.status == "completed", result
    assert job.best_code == STRONG
    models: Any = result["models"]
    assert models["openai/weak"]["avg_eval_score"] < models[MODEL]["avg_eval_score"]
