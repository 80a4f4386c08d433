"""Agents as candidates of a run (see ``agentmodels``).

Each sample is one run of the agent, known by the sample and the execution: a lane that takes a sample up again, after
its worker was killed, finds the agent's run where it is and waits for it. What the agent did becomes the sample's
trajectory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from assay.core.agents import progress
from assay.core.agents.starting import Cause, create_run
from assay.core.agents.types import AgentPolicy, AgentRun, NewRun, RunOrigin, RunStatus, RunStep
from assay.core.runs.agentmodels import read_agent
from assay.core.runs.ledger import WorkItem
from assay.core.runs.plan import RunPlan
from assay.core.runs.trajectories import SamplePlace, put_trajectory
from assay.db.engine import SessionFactory
from assay.db.session import transaction

SCHEMA_VERSION = "assay-agent-run-v1"
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class AgentRunner:
    """What running agents for samples needs."""

    policy: AgentPolicy = field(default_factory=AgentPolicy)
    wake_dispatcher: Callable[[], None] = lambda: None


async def run_agent(sessions: SessionFactory, plan: RunPlan, item: WorkItem, runner: AgentRunner) -> AgentRun:
    """Run a sample's agent to its end, and store what it did as the sample's trajectory.

    Raises:
        DomainError: The run cannot be made.
    """
    run = await _start(sessions, plan, item, runner)
    while not run.status.has_ended:
        await asyncio.sleep(POLL_SECONDS)
        async with sessions() as session:
            run = await progress.find_run(session, run.id) or run
    async with transaction(sessions) as session:
        steps = [to_step(step) for step in await progress.list_steps(session, run.id)]
        place = SamplePlace(item.task_no, item.model_no, item.sample_index)
        await put_trajectory(session, plan.run_id, place, steps=steps, schema_version=SCHEMA_VERSION)
    return run


async def _start(sessions: SessionFactory, plan: RunPlan, item: WorkItem, runner: AgentRunner) -> AgentRun:
    reference = read_agent(plan.models[item.model_no])
    attempt = plan.execution.number
    async with transaction(sessions) as session:
        run = await progress.find_sample_run(session, sample_id=item.id, attempt=attempt)
        if run is None:
            run = await create_run(
                session,
                plan.owner,
                agent_id=reference.agent_id,
                new=NewRun(input=[{"role": "user", "content": item.prompt}]),
                policy=runner.policy,
                version=reference.version,
                cause=Cause(RunOrigin.SAMPLE, sample_id=item.id, sample_attempt=attempt),
            )
    runner.wake_dispatcher()
    return run


def answer_of(run: AgentRun) -> str | None:
    """The text of an agent's answer; None when it has none."""
    output = cast("Sequence[Mapping[str, Any]]", (run.response or {}).get("output") or ())
    texts = [
        part.get("text", "")
        for item in output
        if item.get("type") == "message"
        for part in item.get("content") or ()
        if part.get("type") == "output_text"
    ]
    return "".join(texts) or None


def fault_of(run: AgentRun) -> dict[str, Any] | None:
    """Why an agent's run did not complete; None when it did."""
    if run.status is RunStatus.COMPLETED:
        return None
    details = {"agent_run_id": str(run.id), "status": run.status.value}
    if run.error is not None:
        return {**run.error, **details}
    incomplete: Mapping[str, Any] = (run.response or {}).get("incomplete_details") or {}
    message = incomplete.get("reason") or f"The agent's run is {run.status.value}."
    return {"code": f"agent_run_{run.status.value}", "message": message, **details}


def to_step(step: RunStep) -> dict[str, Any]:
    """A step as it is stored in a trajectory."""
    usage = step.usage
    return {
        "key": step.key,
        "kind": step.kind.value,
        "items": list(step.items),
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_usd": None if usage.cost_usd is None else float(usage.cost_usd),
        },
        "started_at": step.started_at.isoformat(),
        "finished_at": step.finished_at.isoformat(),
    }
