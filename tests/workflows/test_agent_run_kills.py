"""An agent with a Python tool, an HTTP tool and an MCP server, its worker killed before each of its steps.

A trigger holds back the statement with which a step begins (of a model turn, the one that writes it down), so that each
worker dies when everything before is written down and nothing of the step is. What counts is counted at the servers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.support.evals import Evals, kill, open_evals, spawn_worker
from tests.support.model_server import ModelServer
from tests.support.receiver import Receiver
from tests.support.tool_server import McpAt, mcp_server
from tests.support.waiting import eventually

from assay.core.agents.progress import find_run
from assay.core.agents.sealing import ToolSealer
from assay.core.agents.service import create_agent
from assay.core.agents.starting import create_run
from assay.core.agents.types import AgentConfiguration, AgentPolicy, AgentRun, NewRun
from assay.db.session import transaction
from assay.worker import running_dispatcher

pytestmark = pytest.mark.timeout(300)

PROMPT = 'call price {"item": "tea"}, then call numbers__double {"x": 21} and call add {"a": 1, "b": 2}'
ANSWER = '{"euro":3}; 42; 3'
SOURCE = "def run(arguments):\n    return arguments['a'] + arguments['b']\n"
STEPS = 7
"""List the server's tools; a turn, a call; a turn, two calls; the last turn."""
GATE = 4711

_TRIGGER = """
CREATE FUNCTION hold_step() RETURNS trigger AS $$
BEGIN
    IF NEW.status <> 'pending' THEN
        PERFORM pg_advisory_xact_lock({gate} + NEW.number);
    END IF;
    RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER hold_step BEFORE INSERT OR UPDATE ON response_steps FOR EACH ROW EXECUTE FUNCTION hold_step();
"""


@pytest.fixture
async def endpoint() -> AsyncIterator[Receiver]:
    async with Receiver(body=b'{"euro":3}', content_type="application/json") as receiver:
        yield receiver


@pytest.fixture
async def mcp() -> AsyncIterator[McpAt]:
    async with mcp_server() as at:
        yield at


@pytest.fixture
async def agents(database_url: str, temporal_address: str, tmp_path: Any, models: ModelServer) -> AsyncIterator[Evals]:
    async with open_evals(
        database_url=database_url,
        temporal_address=temporal_address,
        home=tmp_path,
        models=models,
        allow_hosts=("127.0.0.1",),
    ) as opened:
        yield opened


def configuration(endpoint: Receiver, mcp: McpAt) -> AgentConfiguration:
    price = {"type": "object", "x-assay": {"http": {"url": f"http://127.0.0.1:{endpoint.port}/price"}}}
    add = {"type": "object", "x-assay": {"python": {"source": SOURCE}}}
    return AgentConfiguration(
        name="shopper",
        model="simulator/tools",
        # One after the other, or a call could have been answered and not be written down when the worker dies.
        parallel_tool_calls=False,
        tools=[
            {"type": "function", "name": "price", "parameters": price},
            {"type": "function", "name": "add", "parameters": add},
            {"type": "mcp", "server_label": "numbers", "server_url": mcp.url, "require_approval": "never"},
        ],
    )


async def start(agents: Evals, configuration: AgentConfiguration) -> UUID:
    async with transaction(agents.runtime.sessions) as session:
        agent = await create_agent(session, agents.principal, configuration=configuration, sealer=ToolSealer(None))
        run = await create_run(
            session, agents.principal, agent_id=agent.id, new=NewRun(input=PROMPT), policy=AgentPolicy()
        )
    return run.id


async def ended(agents: Evals, run_id: UUID) -> AgentRun:
    async def check() -> AgentRun:
        async with agents.runtime.sessions() as session:
            run = await find_run(session, run_id)
        assert run is not None
        assert run.status.has_ended, (run.status, run.turns, run.tool_calls)
        return run

    return await eventually(check, timeout=90)


async def test_a_worker_killed_before_every_step_repeats_no_finished_call(
    agents: Evals, endpoint: Receiver, mcp: McpAt
) -> None:
    database = await asyncpg.connect(agents.place.database_url, ssl=False)
    await database.execute(_TRIGGER.format(gate=GATE))
    await database.execute(f"SELECT pg_advisory_lock({GATE} + n) FROM generate_series(0, {STEPS - 1}) AS n")
    worker = None
    try:
        async with running_dispatcher(agents.runtime):
            run_id = await start(agents, configuration(endpoint, mcp))
            for number in range(STEPS):
                worker = await spawn_worker(agents.place)
                await eventually(lambda number=number: _is_held(database, number), timeout=60)
                await kill(worker)
                await database.execute(f"SELECT pg_advisory_unlock({GATE + number})")
            worker = await spawn_worker(agents.place)
            run = await ended(agents, run_id)
    finally:
        if worker is not None:
            await kill(worker)
        await database.close()

    assert run.status.value == "completed", run.error
    assert run.response is not None
    assert run.response["output_text"] == ANSWER
    assert (run.turns, run.tool_calls) == (3, 3)
    assert len(endpoint.requests) == 1
    assert mcp.calls == {"double": 1}


async def _is_held(database: Any, number: int) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"
    return bool(await database.fetchval(waiting, GATE + number))
