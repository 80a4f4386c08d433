"""Jobs carried out for real: an agent with a prompt and data, and a provider whose skill depends on the prompt."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.support.evals import Evals
from tests.support.waiting import eventually

from assay.core.jobs import service
from assay.core.jobs.models import JobIterationRow, JobRow
from assay.core.jobs.work.running import run_job
from assay.core.projects.types import Principal
from assay.core.targets.service import create_agent, create_prompt
from assay.core.targets.versions import create_version
from assay.db.session import transaction
from assay.gateway.config import ModelConfig, PricesConfig
from assay.gateway.repository import save_model
from assay.sandbox import Sandbox

MODEL = "openai/candidate"
ANALYZER = "openai/analyzer"
JUDGE = "openai/judge"
STRONG = "openai/strong"
BASELINE = "Answer the question."
BETTER = "Work carefully, step by step, and give only the number."


def points(count: int) -> list[dict[str, Any]]:
    """Sums to be worked out, with what is expected."""
    return [{"input": f"What is {n} + {n}? answer={2 * n}", "expected": str(2 * n)} for n in range(count)]


class Jobs:
    """An agent in a project, and its jobs."""

    def __init__(self, evals: Evals) -> None:
        self.evals = evals
        self.agent_id: UUID | None = None
        self.principal: Principal = evals.principal
        self.sandbox: Sandbox | None = None

    async def agent(self, rows: Sequence[Mapping[str, Any]] = (), **values: Any) -> UUID:
        """Make the agent that later jobs work on; ``prompt`` is its prompt, if any."""
        prompt = values.pop("prompt", BASELINE)
        given = {"name": "Adder", "slug": "adder", "model": MODEL, "analyzer_model": ANALYZER, **values}
        async with transaction(self.evals.runtime.sessions) as session:
            agent = await create_agent(session, self.principal, given)
            if prompt:
                await create_prompt(session, self.principal, {"agent_id": agent.id, "system_prompt": prompt})
            if rows:
                await create_version(session, self.principal, agent_id=agent.id, points=rows, values={}, activate=True)
        self.agent_id = agent.id
        return agent.id

    async def start(self, kind: str, parameters: Mapping[str, Any] | None = None, **values: Any) -> UUID:
        """Make a pending job of the agent."""
        result = None if parameters is None else {"parameters": dict(parameters)}
        given = {"kind": kind, "agent_id": self.agent_id, "result": result, **values}
        async with transaction(self.evals.runtime.sessions) as session:
            return (await service.create_job(session, self.principal, given)).id

    async def change(self, job_id: UUID, **values: Any) -> None:
        """Change a job as its owner does."""
        async with transaction(self.evals.runtime.sessions) as session:
            await service.update_job(session, self.principal, job_id, values)

    async def delete(self, job_id: UUID) -> None:
        """Delete a job as its owner does."""
        async with transaction(self.evals.runtime.sessions) as session:
            await service.delete_job(session, self.principal, job_id)

    async def get(self, job_id: UUID) -> JobRow:
        """The job as it is."""
        async with self.evals.runtime.sessions() as session:
            return await service.find_job(session, self.principal, job_id)

    async def iterations(self, job_id: UUID) -> Sequence[JobIterationRow]:
        """Its iterations."""
        async with self.evals.runtime.sessions() as session:
            job = await service.find_job(session, self.principal, job_id)
            return (await service.iterations_of(session, [job])).get(job_id, ())

    async def until(self, job_id: UUID, *statuses: str, timeout: float = 40) -> JobRow:
        """Wait until the job has one of the statuses, or has ended when none is given."""

        async def check() -> JobRow | None:
            job = await self.get(job_id)
            there = job.status in (statuses or ("completed", "failed", "cancelled"))
            assert there, f"{job.status}: {job.result}"
            return job

        job = await eventually(check, timeout=timeout)
        assert job is not None
        return job

    async def finished(self, kind: str, parameters: Mapping[str, Any] | None = None, **values: Any) -> JobRow:
        """Make a job and carry it out here, as a worker's activity does."""
        job_id = await self.start(kind, parameters, **values)
        await self.carry_out(job_id)
        return await self.get(job_id)

    async def carry_out(self, job_id: UUID) -> None:
        """Do what a worker does, until the job has ended or paused."""
        runtime, job = self.evals.runtime, await self.get(job_id)
        await run_job(runtime.sessions, runtime.gateway, job_id=job_id, execution=job.execution, sandbox=self.sandbox)

    async def set_prices(self) -> None:
        """Let each token of output cost a dollar, whoever makes it."""
        prices = PricesConfig(input=Decimal(0), output=Decimal(1_000_000))
        async with transaction(self.evals.runtime.sessions) as session:
            for model in (MODEL, STRONG, ANALYZER, JUDGE):
                config = ModelConfig(provider="openai", upstream=model.partition("/")[2], prices=prices)
                await save_model(session, model, config=config, roles=())
        await self.evals.runtime.gateway.catalog.refresh(force=True)


def provider_reply(prompt: str, body: Mapping[str, Any]) -> str:
    """Plays all three models: the candidate's skill depends on its instructions, the analyzer knows better ones."""
    model = body["model"]
    system = next((turn["content"] for turn in body["messages"] if turn["role"] == "system"), "")
    if model == "analyzer":
        ideas = [BETTER, "Be friendly.", "Use short words."]
        idea = ideas[zlib.crc32(prompt.encode()) % 3] if "attend to clarity" in prompt else BETTER
        return json.dumps({"diagnosis": "careless", "change": "asked for care", "prompt": f"{BASELINE} {idea}"})
    if model == "judge":
        return json.dumps({"reasoning": "as asked", "score": 0.75})
    skill = {"weak": 0.2, "strong": 0.98}.get(model, 0.95 if BETTER in system else 0.45)
    draw = random.Random(f"{model}/{prompt}/{system}").random()
    return prompt.rpartition("answer=")[2] if draw < skill else "wrong"
