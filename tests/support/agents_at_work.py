"""Agents run for real, by a worker in this process, with tools on real servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from tests.support.evals import Evals
from tests.support.waiting import eventually

from assay.core.agents.progress import find_run
from assay.core.agents.sealing import ToolSealer
from assay.core.agents.service import create_agent
from assay.core.agents.starting import create_run
from assay.core.agents.types import Agent, AgentConfiguration, AgentPolicy, AgentRun, NewRun
from assay.db.session import transaction

MODEL = "simulator/tools"
SLEEP = {"type": "sleep"}


def python_function(name: str, source: str) -> dict[str, Any]:
    """A function with Python source."""
    return {
        "type": "function",
        "name": name,
        "parameters": {"type": "object", "x-assay": {"python": {"source": source}}},
    }


ADD = python_function("add", "def run(arguments):\n    return arguments['a'] + arguments['b']\n")


async def make_agent(
    evals: Evals, *tools: Mapping[str, Any], model: str = MODEL, name: str = "agent", **more: Any
) -> Agent:
    """An agent with tools."""
    configuration = AgentConfiguration(name=name, model=model, tools=tools, **more)
    async with transaction(evals.runtime.sessions) as session:
        sealer = ToolSealer(evals.runtime.secrets)
        return await create_agent(session, evals.principal, configuration=configuration, sealer=sealer)


async def start_run(evals: Evals, agent: Agent, input: str | Sequence[Mapping[str, Any]], **more: Any) -> UUID:
    """Queue a run."""
    async with transaction(evals.runtime.sessions) as session:
        run = await create_run(
            session, evals.principal, agent_id=agent.id, new=NewRun(input=input, **more), policy=AgentPolicy()
        )
    return run.id


async def get_run(evals: Evals, run_id: UUID) -> AgentRun:
    """A run as it is now."""
    async with evals.runtime.sessions() as session:
        run = await find_run(session, run_id)
    assert run is not None
    return run


async def ended(evals: Evals, run_id: UUID, *, timeout: float = 60) -> AgentRun:
    """The run, once it has ended."""

    async def check() -> AgentRun:
        run = await get_run(evals, run_id)
        assert run.status.has_ended, (run.status, run.turns, run.tool_calls)
        return run

    return await eventually(check, timeout=timeout)


async def answered(evals: Evals, agent: Agent, input: str | Sequence[Mapping[str, Any]], **more: Any) -> AgentRun:
    """A run from its start to its end."""
    return await ended(evals, await start_run(evals, agent, input, **more))


def text_of(run: AgentRun) -> str:
    """What a run answered."""
    assert run.response is not None, run.error
    return run.response["output_text"]
