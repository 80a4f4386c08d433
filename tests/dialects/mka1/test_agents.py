"""Agents, their versions and function tools, by the published SDK (M§3.1 to 3.3)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text, update
from tests.dialects.mka1.agent_objects import make_agent, queue_run
from tests.dialects.mka1.conftest import Connect
from tests.support.live import LiveServer
from tests.support.mka1 import Client, check_envelope
from tests.support.tenants import Tenants

from assay.core.agents.models import AgentRow
from assay.db.session import transaction
from assay.dialects.mka1.agents import read_agent_id

ZEROS = "0" * 32
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"z": {}, "a": {}}},
}
TOOLS: list[dict[str, Any]] = [
    WEATHER,
    {"type": "mcp", "server_label": "crm", "server_url": "https://mcp.example/", "require_approval": "always"},
    {"type": "web_search", "search_context_size": "low"},
    {"type": "sleep"},
]


async def test_an_agent_has_its_defaults(client: Client) -> None:
    agent = await make_agent(client)
    raw = client.last

    assert raw.status == 201
    assert raw.json | {"created_at": "", "updated_at": ""} == {
        "id": agent.id,
        "object": "agent",
        "name": "helper",
        "model": "openai/m",
        "description": None,
        "instructions": None,
        "tools": [],
        "tool_choice": None,
        "parallel_tool_calls": True,
        "max_tool_calls": None,
        "fallback_models": [],
        "text": None,
        "reasoning": None,
        "metadata": {},
        "version": 1,
        "created_at": "",
        "updated_at": "",
        "deleted_at": None,
        "retention_expires_at": None,
        "within_restore_window": False,
        "can_restore": False,
    }
    assert agent.id.startswith("agt_")
    assert len(agent.id) == 36
    assert await client.call("agents.get_agent", agent_id=agent.id) == agent


async def test_everything_given_comes_back_as_it_was(client: Client) -> None:
    given: dict[str, Any] = {
        "description": "helps",
        "instructions": "Be brief.",
        "tools": TOOLS,
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "max_tool_calls": 7,
        "fallback_models": ["openai/b", "openai/c"],
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "high"},
        "metadata": {"team": "crm"},
    }

    await make_agent(client, **given)

    raw = client.last.json
    assert {name: raw[name] for name in given} == given
    assert list(raw["tools"][0]["parameters"]["properties"]) == ["z", "a"]


async def test_unknown_tools_and_keys_are_kept(prober: Client) -> None:
    tools: list[Any] = [{"type": "new_thing", "deep": {"a": [None, 1.0]}}, {**WEATHER, "x_ours": {"b": 1}}]

    answer = await prober.raw("POST", "/api/v1/agents", json={"name": "a", "model": "m", "tools": tools})

    assert answer.status == 201
    assert answer.json["tools"] == tools


async def test_secrets_of_tools_are_stored_encrypted_and_never_shown(client: Client, live: LiveServer) -> None:
    tool = {"type": "mcp", "server_label": "crm", "authorization": "s3cret-token", "headers": {"X-Key": "k3y-value"}}
    agent = await make_agent(client, tools=[tool])

    assert client.last.json["tools"] == [{**tool, "authorization": "***", "headers": {"X-Key": "***"}}]
    again = {**client.last.json["tools"][0], "server_url": "https://mcp.example/"}
    await client.call("agents.update_agent", agent_id=agent.id, tools=[again])
    stored = live.call(stored_configuration(live, agent.id, 2))
    assert "s3cret-token" not in stored
    assert "k3y-value" not in stored
    assert stored.count("sealed") == 2
    other = {**tool, "server_label": "other", "authorization": "***"}
    error = await client.refused(400, "agents.update_agent", agent_id=agent.id, tools=[other])
    assert error["param"] == "tools[0].authorization"


async def stored_configuration(live: LiveServer, agent_id: str, number: int) -> str:
    query = text("SELECT configuration::text FROM agent_versions WHERE agent_id = :id AND number = :number")
    async with live.runtime.sessions() as session:
        found = await session.execute(query, {"id": read_agent_id(agent_id), "number": number})
        return str(found.scalar_one())


async def test_an_update_changes_what_it_names(client: Client) -> None:
    agent = await make_agent(client, description="old", instructions="old", max_tool_calls=3)

    changed = await client.call("agents.update_agent", agent_id=agent.id, description=None, model="openai/other")

    assert changed.version == 2
    assert (changed.description, changed.model) == (None, "openai/other")
    assert (changed.instructions, changed.max_tool_calls) == ("old", 3)
    error = await client.refused(400, "agents.update_agent", agent_id=agent.id)
    assert error["details"]["code"] == "empty_update"


async def test_versions_are_appended_and_never_lost(client: Client) -> None:
    agent = await make_agent(client, instructions="one")
    await client.call("agents.update_agent", agent_id=agent.id, instructions="two")

    back = await client.call("agent_versions.rollback_agent_version", agent_id=agent.id, version=1)

    assert (back.version, back.instructions) == (3, "one")
    listed = await client.call("agent_versions.list_agent_versions", agent_id=agent.id)
    assert [(one.version, one.is_current, one.restored_from_version) for one in listed.data] == [
        (3, True, 1),
        (2, False, None),
        (1, False, None),
    ]
    assert listed.first_id == listed.data[0].id
    page = await client.call("agent_versions.list_agent_versions", agent_id=agent.id, offset=1, limit=1, order="asc")
    assert [one.version for one in page.data] == [2]
    assert page.has_more
    second = await client.call("agent_versions.get_agent_version", agent_id=agent.id, version=2)
    assert second.instructions == "two"
    await client.refused(404, "agent_versions.get_agent_version", agent_id=agent.id, version=9)
    await client.refused(404, "agent_versions.rollback_agent_version", agent_id=agent.id, version=9)


async def test_agents_are_listed_by_offset(client: Client) -> None:
    made = [(await make_agent(client)).id for _ in range(3)]

    newest = await client.call("agents.list_agents", limit=2)
    rest = await client.call("agents.list_agents", offset=2, limit=1)

    assert [agent.id for agent in newest.data] == [made[2], made[1]]
    assert (newest.first_id, newest.last_id, newest.has_more) == (made[2], made[1], True)
    assert rest.data[0].id == made[0]
    empty = await client.call("agents.list_agents", offset=100_000)
    assert (empty.data, empty.first_id, empty.last_id, empty.has_more) == ([], None, None, False)


async def test_a_deleted_agent_can_come_back(client: Client, connect: Connect, tenants: Tenants) -> None:
    agent = await make_agent(client)
    schedule = await client.call(
        "agent_schedules.create_agent_schedule",
        agent_id=agent.id,
        schedule={"type": "cron", "cron_expression": "0 3 * * *"},
        input="x",
    )

    deleted = await client.call("agents.delete_agent", agent_id=agent.id)

    assert (deleted.id, deleted.deleted) == (agent.id, True)
    assert client.last.json["object"] == "agent.deleted"
    await client.refused(404, "agents.get_agent", agent_id=agent.id)
    await client.refused(404, "agents.update_agent", agent_id=agent.id, name="x")
    await client.refused(404, "agent_runs.create_agent_run", agent_id=agent.id, input="x")
    listed = await client.call("agents.list_agents", deleted=True, limit=1)
    assert listed.data[0].id == agent.id
    assert (listed.data[0].within_restore_window, listed.data[0].can_restore) == (True, True)
    seen = await connect(tenants.read_only).call("agents.list_agents", deleted=True, limit=1)
    assert (seen.data[0].within_restore_window, seen.data[0].can_restore) == (True, False)
    assert (await client.call("agent_versions.list_agent_versions", agent_id=agent.id)).data

    restored = await client.call("agents.restore_agent", agent_id=agent.id)

    assert (restored.id, restored.deleted_at, restored.retention_expires_at) == (agent.id, None, None)
    paused = await client.call("agent_schedules.get_agent_schedule", agent_id=agent.id, schedule_id=schedule.id)
    assert paused.status == "paused"
    error = await client.refused(409, "agents.restore_agent", agent_id=agent.id)
    assert error["details"]["code"] == "agent_state"


async def test_the_restore_window_ends(client: Client, live: LiveServer) -> None:
    agent = await make_agent(client)
    await client.call("agents.delete_agent", agent_id=agent.id)

    async def expire() -> None:
        async with transaction(live.runtime.sessions) as session:
            changed = update(AgentRow).where(AgentRow.id == read_agent_id(agent.id))
            await session.execute(changed.values(retention_expires_at=AgentRow.deleted_at))

    live.call(expire())

    await client.refused(409, "agents.restore_agent", agent_id=agent.id)
    listed = await client.call("agents.list_agents", deleted=True, limit=1)
    assert not listed.data[0].within_restore_window


async def test_an_agent_with_a_live_run_is_not_deleted(client: Client, live: LiveServer) -> None:
    agent = await make_agent(client)
    run_id = queue_run(live, agent.id)

    error = await client.refused(409, "agents.delete_agent", agent_id=agent.id)

    assert error["details"]["code"] == "agent_busy"
    await client.call("agent_runs.cancel_agent_run", agent_id=agent.id, run_id=run_id)
    await client.call("agents.delete_agent", agent_id=agent.id)


async def test_function_tools(client: Client) -> None:
    tool = await client.call(
        "agents.create_function_tool", type_="function", name="lookup", parameters={"type": "object"}
    )

    assert client.last.status == 201
    assert client.last.json["definition"] == {
        "type": "function",
        "name": "lookup",
        "parameters": {"type": "object"},
        "strict": True,
    }
    assert tool.id.startswith("aftool_")
    changed = await client.call(
        "agents.update_function_tool",
        tool_id=tool.id,
        type_="function",
        name="lookup2",
        parameters={},
        description="finds",
    )
    assert (changed.definition.name, changed.definition.description) == ("lookup2", "finds")
    assert await client.call("agents.get_function_tool", tool_id=tool.id) == changed
    second = await client.call("agents.create_function_tool", type_="function", name="g", parameters={})
    page = await client.call("agents.list_function_tools", limit=1)
    assert (page.data[0].id, page.has_more) == (second.id, True)
    after = await client.call("agents.list_function_tools", after=page.last_id, limit=1)
    assert after.data[0].id == tool.id
    gone = await client.call("agents.delete_function_tool", tool_id=tool.id)
    assert (gone.id, gone.deleted) == (tool.id, True)
    await client.refused(404, "agents.get_function_tool", tool_id=tool.id)


async def test_a_reference_is_resolved_when_a_run_is_made(client: Client) -> None:
    tool = await client.call("agents.create_function_tool", type_="function", name="old", parameters={})
    agent = await make_agent(client, tools=[{"type": "function_reference", "function_tool_id": tool.id}])
    assert client.last.json["tools"] == [{"type": "function_reference", "function_tool_id": tool.id}]
    first = await client.call("agent_runs.create_agent_run", agent_id=agent.id, input="x")

    await client.call("agents.delete_function_tool", tool_id=tool.id)

    error = await client.refused(400, "agent_runs.create_agent_run", agent_id=agent.id, input="x")
    assert error["param"] == "tools[0].function_tool_id"
    await client.call("agents.update_agent", agent_id=agent.id, tools=[])
    second = await client.call("agent_runs.create_agent_run", agent_id=agent.id, input="x")
    assert (first.agent_version, second.agent_version) == (1, 2)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"model": ""}, "model"),
    ({"tools": [{}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "name": "f"}]}, "tools[0].parameters"),
    ({"tools": [{"type": "mcp"}]}, "tools[0].server_label"),
    ({"tools": [{"type": "mcp", "server_label": "x", "authorization": 5}]}, "tools[0].authorization"),
    ({"tools": [{"type": "mcp", "server_label": "x", "headers": {"a": {"sealed": "b"}}}]}, "tools[0].headers.a"),
    ({"tools": [{"type": "agent", "agent_id": f"agt_{ZEROS}"}]}, "tools[0].agent_id"),
    ({"tools": [{"type": "function_reference", "function_tool_id": "x"}]}, "tools[0].function_tool_id"),
    ({"tools": [{"type": "sleep"}] * 129}, "tools"),
    ({"max_tool_calls": 0}, "max_tool_calls"),
    ({"text": {"format": {"type": "poem"}}}, "text.format.type"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
    ({"unknown": 1}, "unknown"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
async def test_bad_agents_are_refused(prober: Client, fields: dict[str, Any], param: str) -> None:
    answer = await prober.raw("POST", "/api/v1/agents", json={"name": "a", "model": "m", **fields})

    assert answer.status == 400
    assert check_envelope(answer)["param"] == param
