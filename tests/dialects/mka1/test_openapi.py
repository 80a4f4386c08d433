"""The dialect's OpenAPI document: served, committed, and kept to under fuzzing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from tests.dialects.mka1.agent_objects import make_agent, queue_run
from tests.support.live import LiveServer
from tests.support.mka1 import ERROR_TYPES, Client, Mode, make_suite, upload
from tests.support.tenants import Tenants

from assay.dialects.mka1 import openapi
from assay.dialects.mka1.app import PREFIX, routers

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi" / "mka1.json"
EXAMPLES = 20
AGENTS = "/api/v1/agents"
"""Runs and schedules of agents are other objects than those of suites, by the same parameters' names."""

SCHEMA: Any = schemathesis.openapi.from_dict(openapi.document())
OPERATIONS: list[Any] = [result.ok() for result in SCHEMA.get_all_operations()]


def test_the_committed_document_is_up_to_date() -> None:
    assert COMMITTED.read_bytes() == openapi.render(), (
        "run `uv run python -m assay.dialects.mka1.openapi docs/openapi/mka1.json`, and look at what changed"
    )


def test_the_server_serves_it(live: LiveServer) -> None:
    served = httpx.get(f"{live.url}/openapi/mka1.json")

    assert served.status_code == 200
    assert served.json() == openapi.document()


def test_it_holds_this_dialect_and_all_of_it() -> None:
    paths = openapi.document()["paths"]

    assert all(path.startswith(PREFIX) for path in paths)
    assert sum(len(verbs) for verbs in paths.values()) == sum(len(router.routes) for router in routers())


def test_every_operation_tells_its_errors() -> None:
    for path, verbs in openapi.document()["paths"].items():
        for verb, operation in verbs.items():
            assert set(operation["responses"]) in ({"200", "default"}, {"201", "default"}), (verb, path)
            assert operation["security"] == [{"HTTPBearer": []}]


@pytest.fixture(scope="module")
async def objects(live: LiveServer, tenants: Tenants) -> dict[str, str | int]:
    """One object of each kind, so that what is fuzzed lies behind the first 404."""
    async with Client(live.url, tenants.other_organization, mode=Mode.ASYNC) as client:
        suite = await make_suite(client)
        run = await client.call("evals.create_run", suite_id=suite.id, models=["openai/m"])
        file = await upload(client, b"x", purpose="user_data")
        schedule = await client.call(
            "evals.create_schedule",
            name="Fuzzed",
            suite_id=suite.id,
            run={"models": ["openai/m"]},
            interval_seconds=86_400,
            webhook_url="https://hooks.invalid/",
        )
        await client.finished(run.id)
        agent = await make_agent(client)
        tool = await client.call("agents.create_function_tool", type_="function", name="f", parameters={})
        agent_run = queue_run(live, agent.id)
        # Following one that goes on would take for ever.
        await client.call("agent_runs.cancel_agent_run", agent_id=agent.id, run_id=agent_run)
        agent_schedule = await client.call(
            "agent_schedules.create_agent_schedule",
            agent_id=agent.id,
            schedule={"type": "interval", "interval_seconds": 86_400},
            input="hello",
        )
    return {
        "agent_id": agent.id,
        "tool_id": tool.id,
        f"{AGENTS}run_id": agent_run,
        f"{AGENTS}schedule_id": agent_schedule.id,
        "suite_id": suite.id,
        "run_id": run.id,
        "file_id": file.id,
        "schedule_id": schedule.id,
        "delivery_id": "evt_" + "0" * 32,
        "version": 1,
        "model_id": "simulator/x",
        "sample_index": 0,
        "org_id": "org_" + "0" * 32,
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_fuzzing_finds_no_fault(
    live: LiveServer, tenants: Tenants, objects: dict[str, str | int], operation: Any
) -> None:
    """Whatever is sent is answered: with success, or with an error that is the sender's."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        derandomize=True,
        database=None,
    )
    def fuzz(case: Any) -> None:
        if case.method != "DELETE":
            ours = AGENTS if case.path.startswith(AGENTS) else ""
            found = {name: objects.get(f"{ours}{name}", objects.get(name)) for name in case.path_parameters}
            case.path_parameters = found
        body: Any = case.body
        if isinstance(body, dict) and "suite_id" in body:
            body["suite_id"] = objects["suite_id"]
        response = case.call(base_url=live.url, headers={"Authorization": f"Bearer {tenants.other_organization}"})
        if response.status_code not in (200, 201):
            assert response.status_code in ERROR_TYPES
            assert response.json()["error"]["type"] == ERROR_TYPES[response.status_code]
        assert response.status_code < 500

    fuzz()
