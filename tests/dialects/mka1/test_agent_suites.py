"""Suites that are run against agents: each sample is an agent's run, whose steps are the sample's trajectory."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.mka1.agent_objects import make_agent
from tests.support.agents_at_work import ADD
from tests.support.live import LiveServer
from tests.support.mka1 import Client, Mode, make_suite, questions
from tests.support.tenants import Tenants

ROWS = 6


@pytest.fixture
async def client(live: LiveServer, tenants: Tenants) -> Any:
    """One half of the SDK is enough: what is asked is the same."""
    async with Client(live.url, tenants.all_scopes, mode=Mode.ASYNC) as client:
        yield client


async def test_an_agent_is_evaluated(client: Client) -> None:
    agent = await make_agent(client)
    await client.call("agents.update_agent", agent_id=agent.id, model="openai/other")
    suite = await make_suite(client, questions(ROWS))
    models = [f"agent:{agent.id}", f"agent:{agent.id}@1"]

    run = await client.call("evals.create_run", suite_id=suite.id, models=models)
    done = await client.finished(run.id, timeout_seconds=50)

    assert (done.status, done.request_counts.completed) == ("completed", 2 * ROWS), client.last.content
    assert client.last.json["metrics"]["overall"]["exact_match"] == 1
    samples = await client.call("evals.list_samples", run_id=run.id, model=models[0])
    assert len(samples.data) == ROWS
    assert all(sample.response_id.startswith("resp_") for sample in samples.data)
    trajectory = await client.call(
        "evals.get_sample_trajectory", run_id=run.id, sample_index=0, task_id="qa", model=models[1]
    )
    assert trajectory.step_count >= 1
    assert trajectory.steps[0]["kind"] == "model_turn"
    runs = await client.call("agent_runs.list_agent_runs", agent_id=agent.id, limit=100)
    assert sorted(one.agent_version for one in runs.data) == [1] * ROWS + [2] * ROWS


@pytest.mark.timeout(120)
async def test_every_sample_of_a_suite_shows_what_its_agent_did(client: Client) -> None:
    agent = await make_agent(client, model="simulator/tools", tools=[ADD])
    rows = [{"question": f'call add {{"a": 1, "b": {number}}}', "answer": str(number + 1)} for number in range(50)]
    suite = await make_suite(client, rows)

    run = await client.call("evals.create_run", suite_id=suite.id, models=[f"agent:{agent.id}"])
    done = await client.finished(run.id, timeout_seconds=100)

    assert (done.status, done.request_counts.completed) == ("completed", 50), client.last.content
    assert client.last.json["metrics"]["overall"]["exact_match"] == 1
    for number in range(50):
        found = await client.call(
            "evals.get_sample_trajectory", run_id=run.id, sample_index=number, task_id="qa", model=f"agent:{agent.id}"
        )
        assert [step["kind"] for step in found.steps] == ["model_turn", "tool_call", "model_turn"]
        assert found.steps[1]["items"][0]["output"] == str(number + 1)


@pytest.mark.parametrize("model", ["agent:x", f"agent:agt_{'0' * 32}", "agent:{id}@9", "agent:{id}@x", "agent:{id}@"])
async def test_an_agent_that_is_not_there_is_refused(client: Client, model: str) -> None:
    agent = await make_agent(client)
    suite = await make_suite(client, questions(1))

    error = await client.refused(400, "evals.create_run", suite_id=suite.id, models=[model.format(id=agent.id)])

    assert error["param"] == "models"
