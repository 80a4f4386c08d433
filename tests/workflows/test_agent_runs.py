"""Agents' runs, carried out by a worker: tools of every kind, approvals, sleeps, limits, compaction, cancelling."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.worker import Replayer
from tests.support.agents_at_work import ADD, SLEEP, answered, ended, get_run, make_agent, start_run, text_of
from tests.support.evals import Evals, open_evals, working
from tests.support.model_server import ModelServer
from tests.support.tool_server import McpAt, mcp_server
from tests.support.waiting import eventually

from assay.core.agents import runs
from assay.core.agents.types import AgentRun, RunStatus
from assay.db.session import transaction
from assay.workflows.agent_run.workflow import AgentRunWorkflow, ResponseWorkflow

pytestmark = pytest.mark.timeout(180)
SECRET = "secret of the user"


@pytest.fixture
async def mcp() -> AsyncIterator[McpAt]:
    async with mcp_server() as at:
        yield at


@pytest.fixture
async def agents(database_url: str, temporal_address: str, tmp_path: Path, models: ModelServer) -> AsyncIterator[Evals]:
    """A project with a worker that may reach loopback."""
    async with (
        open_evals(
            database_url=database_url,
            temporal_address=temporal_address,
            home=tmp_path,
            models=models,
            allow_hosts=("127.0.0.1",),
        ) as opened,
        working(opened),
    ):
        yield opened


def numbers(mcp: McpAt, **more: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "numbers", "server_url": mcp.url, **more}


async def test_an_agent_calls_another(agents: Evals) -> None:
    inner = await make_agent(agents, ADD, name="adder")
    outer = await make_agent(agents, {"type": "agent", "agent_id": f"agt_{inner.id.hex}", "name": "adder"})
    task = json.dumps({"input": "call add"})
    run = await answered(agents, outer, f"call adder {task}")

    # The inner prompt names no arguments, which its tool cannot do without; what it says of that is its answer.
    assert run.status is RunStatus.COMPLETED, run.error
    assert "KeyError" in text_of(run)
    assert run.tool_calls == 1


@pytest.mark.parametrize(("approve", "called"), [(True, 1), (False, 0)])
async def test_a_call_waits_for_approval_and_goes_on_in_another_run(
    approve: bool, called: int, agents: Evals, mcp: McpAt
) -> None:
    agent = await make_agent(agents, numbers(mcp))
    asked = await answered(agents, agent, 'call numbers__double {"x": 21}')
    assert asked.status is RunStatus.COMPLETED
    assert asked.response is not None
    request = asked.response["output"][-1]
    assert (request["type"], request["name"], request["arguments"]) == ("mcp_approval_request", "double", '{"x": 21}')
    assert mcp.calls == {}

    async with transaction(agents.runtime.sessions) as session:
        decision = await runs.decide_approval(
            session,
            agents.principal,
            agent_id=agent.id,
            run_id=asked.id,
            request_id=request["id"],
            approve=approve,
            reason=None,
        )
    run = await ended(agents, decision.continuation.id)

    assert run.status is RunStatus.COMPLETED, run.error
    assert mcp.calls.get("double", 0) == called
    assert text_of(run) == "42" if approve else "did not allow" in text_of(run)


async def test_a_sleeping_run_is_woken_with_what_was_sent(agents: Evals) -> None:
    agent = await make_agent(agents, SLEEP)
    run_id = await start_run(agents, agent, 'call sleep {"duration_seconds": 3600}')

    async def asleep() -> bool:
        return (await get_run(agents, run_id)).sleeping_until is not None

    await eventually(asleep, timeout=60)
    async with transaction(agents.runtime.sessions) as session:
        await runs.wake_run(session, agents.principal, agent_id=agent.id, run_id=run_id, input="the mail has come")
    run = await ended(agents, run_id)
    assert json.loads(text_of(run))["input"] == "the mail has come"


async def test_a_short_sleep_ends_by_itself(agents: Evals) -> None:
    run = await answered(agents, await make_agent(agents, SLEEP), 'call sleep {"duration_seconds": 0.1}')
    assert json.loads(text_of(run))["woken"] is False


async def test_a_cancelled_run_stops_at_once(agents: Evals) -> None:
    agent = await make_agent(agents, SLEEP)
    run_id = await start_run(agents, agent, 'call sleep {"duration_seconds": 3600}')

    async def asleep() -> bool:
        return (await get_run(agents, run_id)).sleeping_until is not None

    await eventually(asleep, timeout=60)
    async with transaction(agents.runtime.sessions) as session:
        await runs.cancel_run(session, agents.principal, agent_id=agent.id, run_id=run_id)
    handle = agents.runtime.temporal.get_workflow_handle(f"agent_run/{run_id}")

    async def closed() -> bool:
        return (await handle.describe()).close_time is not None

    await eventually(closed, timeout=60)
    assert (await get_run(agents, run_id)).status is RunStatus.CANCELLED


async def test_a_tool_that_cannot_be_carried_out_fails_the_run_by_name(agents: Evals) -> None:
    run = await answered(agents, await make_agent(agents, {"type": "web_search"}), "hello")
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert run.error["code"] == "unsupported_tool"
    assert "web_search" in run.error["message"]


async def test_a_limit_ends_a_run_as_incomplete(agents: Evals) -> None:
    agent = await make_agent(agents, ADD, max_tool_calls=1)
    run = await answered(agents, agent, 'call add {"a": 1, "b": 1}, then call add {"a": 1, "b": 1}')
    assert run.status is RunStatus.INCOMPLETE
    assert run.response is not None
    assert run.response["incomplete_details"] == {"reason": "max_tool_calls"}


async def test_a_long_context_is_compacted(agents: Evals) -> None:
    agent = await make_agent(agents, model="openai/m")
    first = await answered(agents, agent, "long " * 3000 + " answer=noted")
    assert first.response is not None
    rules = [{"type": "compaction", "compact_threshold": 1000}]
    run = await answered(
        agents, agent, "and now? answer=short", previous_response_id=first.response["id"], context_management=rules
    )
    assert run.status is RunStatus.COMPLETED, run.error
    assert run.response is not None
    assert [item["type"] for item in run.response["output"]] == ["compaction", "message"]
    told = agents.models.stats.last_body["messages"]
    assert [message["role"] for message in told] == ["developer", "user"]
    assert told[-1]["content"] == "and now? answer=short"


async def test_events_are_those_of_the_response(agents: Evals) -> None:
    run = await answered(agents, await make_agent(agents, ADD), 'call add {"a": 1, "b": 2}', stream=True)
    async with agents.runtime.sessions() as session:
        events = await runs.read_events(session, run_id=run.id, after=-1)
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert "response.output_text.delta" in kinds
    assert [event.sequence for event in events] == list(range(len(events)))


async def test_histories_hold_ids_only_and_replay(agents: Evals, mcp: McpAt) -> None:
    agent = await make_agent(agents, ADD, numbers(mcp, require_approval="never"))
    prompt = f'{SECRET} call add {{"a": 1, "b": 2}}, then call numbers__double {{"x": 4}}'
    run = await answered(agents, agent, prompt)
    assert text_of(run) == "3; 8"
    history = await _history(agents, run)
    for forbidden in (SECRET, "numbers", "double", "add"):
        assert forbidden not in json.dumps(_payloads(history.to_json_dict()))
    await Replayer(workflows=[AgentRunWorkflow, ResponseWorkflow]).replay_workflow(history)


async def _history(agents: Evals, run: AgentRun) -> Any:
    handle = agents.runtime.temporal.get_workflow_handle(f"agent_run/{run.id}")
    await handle.result()
    return await handle.fetch_history()


def _payloads(value: Any) -> list[str]:
    """All payloads of a history, decoded."""
    if isinstance(value, list):
        return [text for part in cast("list[Any]", value) for text in _payloads(part)]
    if not isinstance(value, dict):
        return []
    fields = cast("dict[str, Any]", value)
    if fields.keys() >= {"data", "metadata"}:
        return [base64.b64decode(fields["data"]).decode()]
    return [text for part in fields.values() for text in _payloads(part)]
