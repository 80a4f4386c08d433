"""Jobs of every kind, their worker killed in every phase. What a model answered and was written down is asked once.

All kinds are at work at the same time. In each stage every job goes on to the next moment of its life, where a gate in
the database holds it; when all are held the worker gets SIGKILL. What counts is counted at the models' server.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from itertools import zip_longest
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import and_, func, select
from tests.support.evals import Evals, kill, spawn_worker
from tests.support.gates import open_gates
from tests.support.jobs import BASELINE, BETTER, JUDGE, MODEL, STRONG, Jobs, points, provider_reply
from tests.support.waiting import eventually

from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.jobs.models import JobStepRow
from assay.core.jobs.work.answering import Lane
from assay.core.jobs.work.ledger import CONCURRENCY
from assay.core.jobs.work.target import Case
from assay.core.targets.models import SuggestionRow, TargetAgentRow, TargetPromptRow
from assay.scoring.optimization import split_items

pytestmark = pytest.mark.timeout(300)

PATIENCE = 60
SEED = 3
CASES = points(80)
INPUTS = [{"input": row["input"]} for row in points(30)]
OUTPUTS = [{"input": f"q{n}", "details": {"output": f"a{n}"}} for n in range(30)]
UPLOADED = [{"input": f"q{n}", "output": f"a{n}"} for n in range(30)]
CRITERIA = {"evaluation_criteria": {"correctness": ["It is right."]}}
CODE = """
def run(given, ctx):
    first = ctx.responses_create(input=given)["output_text"]
    return first + ctx.responses_create(input=given + " again")["output_text"]
"""
RANDOM_KILLS = 12


class Provider:
    """Counts what it was asked."""

    def __init__(self, evals: Evals) -> None:
        self.asked = 0
        evals.models.behaviour.reply = self.reply
        evals.models.behaviour.latency_seconds = 0.02

    def reply(self, prompt: str, body: Mapping[str, Any]) -> str:
        self.asked += 1
        return provider_reply(prompt, body)


@pytest.fixture
def provider(evals: Evals) -> Provider:
    return Provider(evals)


@pytest.fixture
def jobs(evals: Evals, provider: Provider) -> Jobs:
    return Jobs(evals)


async def start_all(jobs: Jobs) -> dict[str, UUID]:
    """A job of each kind, each of an agent of its own, so that none waits for another's locks."""
    made: dict[str, UUID] = {}
    kinds: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
        ("inference", INPUTS, {}),
        ("uploaded_outputs_setup", [], {"rows": UPLOADED}),
        ("judge_scoring", OUTPUTS, {"judge_model": JUDGE}),
        ("prompt_tuning", CASES, {"seed": SEED, "patience": 1}),
        ("model_backtesting", INPUTS, {"models": [STRONG], "judge_model": JUDGE}),
    ]
    for kind, rows, parameters in kinds:
        await jobs.agent(rows, slug=kind, **CRITERIA)
        made[kind] = await jobs.start(kind, parameters, num_iterations=2, candidates_per_iteration=1)
    await jobs.agent(INPUTS, slug="code")
    made["agent_code"] = await jobs.start("inference", {"prompt": CODE})
    return made


async def moments_of(jobs: Jobs, made: Mapping[str, UUID], *, more: bool) -> list[list[str]]:
    """The moments of each job at which its worker is killed, in their order: one in each phase, or more of them."""
    split = split_items([Case(row["input"]).key for row in CASES], seed=SEED)
    before, after, strong, code = (
        Lane(model, prompt).key
        for model, prompt in (
            (MODEL, BASELINE),
            (MODEL, f"{BASELINE} {BETTER}"),
            (STRONG, BASELINE),
            (MODEL, CODE),
        )
    )
    async with jobs.evals.runtime.sessions() as session:
        judged = (await jobs.get(made["judge_scoring"])).agent_id
        dataset = await session.scalar(select(TargetAgentRow.active_dataset_id).where(TargetAgentRow.id == judged))
    moments = {
        "inference": [f"step/JOB/answer/{before}/9", "outputs/JOB", "completed/JOB"],
        "uploaded_outputs_setup": ["step/JOB/target", "outputs/JOB", "completed/JOB"],
        # All of its cases run at once, in any order, so both moments are of one case.
        "agent_code": [f"step/JOB/answer/{code}/9/call/1", f"step/JOB/answer/{code}/9", "outputs/JOB"],
        "judge_scoring": ["step/JOB/judge/output/9/0", f"scores/{dataset}", "iteration/JOB/0", "completed/JOB"],
        "model_backtesting": [
            f"step/JOB/answer/{strong}/9",
            f"step/JOB/judge/{before}/20/0",
            "iteration/JOB/1",
            "completed/JOB",
        ],
        "prompt_tuning": [
            f"step/JOB/answer/{before}/{split.train[9]}",
            *(["iteration/JOB/0"] if more else []),
            "step/JOB/propose/1/0",
            f"step/JOB/answer/{after}/{split.train[9]}",
            f"step/JOB/answer/{after}/{split.validation[9]}",
            *(["iteration/JOB/1"] if more else []),
            f"step/JOB/answer/{after}/{split.test[9]}",
            "suggestion/JOB",
            *(["completed/JOB"] if more else []),
        ],
    }
    return [[moment.replace("JOB", str(made[kind])) for moment in found] for kind, found in moments.items()]


async def recorded_calls(jobs: Jobs) -> int:
    """How many answers of models are on record; what a program puts together of them is none."""
    step = JobStepRow
    asked = and_(
        step.key != "target", ~step.key.like(f"answer/{Lane(MODEL, CODE).key}/%") | step.key.contains("/call/")
    )
    async with jobs.evals.runtime.sessions() as session:
        return await session.scalar(select(func.count()).select_from(step).where(asked)) or 0


async def all_quiet(jobs: Jobs) -> None:
    """Wait until the server is asked nothing more by who is dead."""

    async def check() -> bool:
        return jobs.evals.models.stats.in_flight == 0

    await eventually(check, timeout=PATIENCE)


async def check_ends(jobs: Jobs, made: Mapping[str, UUID]) -> None:
    """See that every job came to the end that it comes to undisturbed, and made everything once."""
    ended = {kind: await jobs.until(job_id, timeout=PATIENCE) for kind, job_id in made.items()}
    assert {kind: job.status for kind, job in ended.items()} == dict.fromkeys(made, "completed"), [
        job.result for job in ended.values()
    ]
    results: dict[str, Any] = {kind: job.result for kind, job in ended.items()}
    assert results["inference"]["succeeded"] == results["agent_code"]["succeeded"] == len(INPUTS)
    assert results["uploaded_outputs_setup"]["rows_imported"] == len(UPLOADED)
    assert results["judge_scoring"]["spans_evaluated"] == len(OUTPUTS)
    assert results["prompt_tuning"]["status"] == "improved"
    assert ended["prompt_tuning"].best_code == f"{BASELINE} {BETTER}"
    assert results["model_backtesting"]["spans_succeeded"] == 2 * len(INPUTS)
    positions = {kind: [row.position for row in await jobs.iterations(job_id)] for kind, job_id in made.items()}
    assert positions == {
        "inference": [],
        "agent_code": [],
        "uploaded_outputs_setup": [],
        "judge_scoring": [0],
        "prompt_tuning": [0, 1],
        "model_backtesting": [0, 1],
    }
    async with jobs.evals.runtime.sessions() as session:
        made_by = DatasetRow.details["job"].as_string()
        outputs = await session.execute(
            select(made_by, func.count()).join(DatasetItemRow).where(made_by.is_not(None)).group_by(DatasetRow.id)
        )
        assert sorted(tuple(row) for row in outputs) == sorted(
            [
                (str(made["inference"]), len(INPUTS)),
                (str(made["agent_code"]), len(INPUTS)),
                (str(made["uploaded_outputs_setup"]), len(UPLOADED)),
            ]
        )
        tuned = select(func.count()).select_from(TargetPromptRow).where(TargetPromptRow.label == "tuned")
        assert await session.scalar(tuned) == 1
        assert await session.scalar(select(func.count()).select_from(SuggestionRow)) == 1


@pytest.mark.parametrize("more", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["each phase", "more"])
async def test_a_worker_killed_in_every_phase_of_every_kind(jobs: Jobs, provider: Provider, more: bool) -> None:
    made = await start_all(jobs)
    stages = list(zip_longest(*await moments_of(jobs, made, more=more)))
    lost = 0
    async with AsyncExitStack() as stack:
        gates = await stack.enter_async_context(open_gates(jobs.evals.place.database_url))
        for stage in stages:
            moments = [moment for moment in stage if moment is not None]
            await gates.close(moments)
            worker = await spawn_worker(jobs.evals.place)
            stack.push_async_callback(kill, worker)
            await gates.held(timeout=PATIENCE)
            await kill(worker)
            await all_quiet(jobs)
            under_way = provider.asked - await recorded_calls(jobs) - lost
            assert 0 <= under_way <= CONCURRENCY * len(moments), "what is answered is written down at once"
            lost += under_way
            await gates.open()
        worker = await spawn_worker(jobs.evals.place)
        stack.push_async_callback(kill, worker)
        await check_ends(jobs, made)

    # Only what was under way when a worker died, and so could not be written down, was asked again.
    assert provider.asked == await recorded_calls(jobs) + lost


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
async def test_a_worker_killed_at_random(jobs: Jobs, provider: Provider, seed: int) -> None:
    draw = random.Random(seed)
    jobs.evals.models.behaviour.latency_seconds = 0.2
    made = await start_all(jobs)
    kills = 0
    worker = await spawn_worker(jobs.evals.place)
    try:
        for _ in range(RANDOM_KILLS):
            wanted = await recorded_calls(jobs) + draw.randrange(1, 60)
            moment = await _until_recorded(jobs, made, wanted, extra_seconds=draw.random() / 5)
            await kill(worker)
            kills += moment
            worker = await spawn_worker(jobs.evals.place)
        await check_ends(jobs, made)
    finally:
        await kill(worker)
    assert kills >= 3
    assert 0 <= provider.asked - await recorded_calls(jobs) <= CONCURRENCY * len(made) * kills


async def _until_recorded(jobs: Jobs, made: Mapping[str, UUID], wanted: int, *, extra_seconds: float) -> bool:
    """Wait for so many recorded calls and a moment more; false when the jobs ended before."""

    async def check() -> str | None:
        if all([(await jobs.get(job_id)).status == "completed" for job_id in made.values()]):
            return "ended"
        return "there" if await recorded_calls(jobs) >= wanted else None

    found = await eventually(check, timeout=PATIENCE)
    # The moment is what is random here.
    await asyncio.sleep(extra_seconds)
    return found == "there"
