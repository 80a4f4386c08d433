"""Schedules of agents, by the published SDK (M§3.5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client as Temporal
from temporalio.service import RPCError
from tests.dialects.mka1.agent_objects import make_agent
from tests.support.mka1 import Client, check_envelope
from tests.support.waiting import eventually

DAILY = {"type": "cron", "cron_expression": "0 9 * * MON-FRI", "timezone": "Europe/Berlin"}


async def make(client: Client, agent_id: str, **fields: Any) -> Any:
    body: dict[str, Any] = {"schedule": DAILY, "input": "report", **fields}
    return await client.call("agent_schedules.create_agent_schedule", agent_id=agent_id, **body)


async def test_the_request_of_the_published_page(client: Client) -> None:
    agent = await make_agent(client)

    schedule = await client.call(
        "agent_schedules.create_agent_schedule",
        agent_id=agent.id,
        schedule={"type": "interval", "interval_seconds": 581769, "timezone": "UTC"},
        input=[],
    )

    raw = client.last
    assert raw.status == 201
    assert {name: value for name, value in raw.json.items() if not name.endswith("ed_at") or value is None} == {
        "object": "agent.schedule",
        "id": schedule.id,
        "agent_id": agent.id,
        "name": None,
        "status": "active",
        "schedule": {"type": "interval", "interval_seconds": 581769, "timezone": "UTC"},
        "input": [],
        "conversation": None,
        "previous_response_id": None,
        "context_management": None,
        "metadata": None,
        "temporal_schedule_id": f"live/agent_schedule/{_uuid(schedule.id)}",
        "last_run_at": None,
        "last_run_id": None,
        "run_count": 0,
        "deleted_at": None,
    }
    assert schedule.id.startswith("agsch_")


def _uuid(schedule_id: str) -> str:
    digits = schedule_id.removeprefix("agsch_")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


async def test_temporal_has_the_schedule_as_long_as_it_lives(client: Client, temporal_client: Temporal) -> None:
    agent = await make_agent(client)
    schedule = await make(client, agent.id)
    handle = temporal_client.get_schedule_handle(schedule.temporal_schedule_id)
    where = {"agent_id": agent.id, "schedule_id": schedule.id}

    async def is_paused() -> bool | None:
        try:
            return (await handle.describe()).schedule.state.paused
        except RPCError:
            return None

    async def becomes(state: bool | None) -> None:
        async def has_become() -> bool:
            return await is_paused() is state

        await eventually(has_become, timeout=20)

    await becomes(False)
    paused = await client.call("agent_schedules.pause_agent_schedule", **where)
    assert paused.status == "paused"
    assert (await client.call("agent_schedules.pause_agent_schedule", **where)).status == "paused"
    await becomes(True)
    assert (await client.call("agent_schedules.resume_agent_schedule", **where)).status == "active"
    assert (await client.call("agent_schedules.resume_agent_schedule", **where)).status == "active"
    await becomes(False)
    gone = await client.call("agent_schedules.delete_agent_schedule", **where)
    assert (gone.id, gone.deleted) == (schedule.id, True)
    await becomes(None)
    for operation in ("get", "pause", "resume", "delete"):
        await client.refused(404, f"agent_schedules.{operation}_agent_schedule", **where)


async def test_an_update_changes_what_it_names(client: Client) -> None:
    agent = await make_agent(client)
    strategies = [{"type": "compaction", "compact_threshold": 5000}]
    schedule = await make(
        client,
        agent.id,
        name="daily",
        metadata={"a": "b"},
        context_management=strategies,
        previous_response_id="resp_1",
    )
    where = {"agent_id": agent.id, "schedule_id": schedule.id}

    changed = await client.call(
        "agent_schedules.update_agent_schedule",
        **where,
        schedule={"type": "interval", "interval_seconds": 60, "start_at": datetime(2040, 1, 1, tzinfo=UTC)},
        name=None,
        previous_response_id=None,
        context_management=None,
    )

    assert (changed.name, changed.previous_response_id, changed.context_management) == (None, None, None)
    assert (changed.schedule.interval_seconds, changed.input, changed.metadata) == (60, "report", {"a": "b"})
    error = await client.refused(400, "agent_schedules.update_agent_schedule", **where)
    assert error["details"]["code"] == "empty_update"
    assert await client.call("agent_schedules.get_agent_schedule", **where) == changed


async def test_schedules_are_listed(client: Client) -> None:
    agent = await make_agent(client)
    made = [(await make(client, agent.id)).id for _ in range(3)]

    newest = await client.call("agent_schedules.list_agent_schedules", agent_id=agent.id, limit=2)
    oldest = await client.call("agent_schedules.list_agent_schedules", agent_id=agent.id, order="asc")

    assert [one.id for one in newest.data] == [made[2], made[1]]
    assert newest.has_more
    assert [one.id for one in oldest.data] == made


async def test_a_schedule_that_fires_once_is_completed_by_it(client: Client) -> None:
    agent = await make_agent(client)
    at = datetime.now(UTC) + timedelta(seconds=2)
    schedule = await make(client, agent.id, schedule={"type": "once", "run_at": at}, metadata={"k": "v"})
    where = {"agent_id": agent.id, "schedule_id": schedule.id}

    async def completed() -> Any:
        found = await client.call("agent_schedules.get_agent_schedule", **where)
        return found if found.status == "completed" else None

    done = await eventually(completed, timeout=30)

    assert (done.run_count, done.temporal_schedule_id) == (1, None)
    listed = await client.call("agent_runs.list_agent_runs", agent_id=agent.id)
    assert [run.id for run in listed.data] == [done.last_run_id]
    assert (listed.data[0].input, listed.data[0].metadata) == ("report", {"k": "v"})
    assert done.last_run_at >= at.replace(microsecond=0)
    await client.refused(409, "agent_schedules.pause_agent_schedule", **where)
    await client.refused(409, "agent_schedules.resume_agent_schedule", **where)
    again = await client.call("agent_schedules.update_agent_schedule", **where, schedule=DAILY)
    assert again.status == "active"
    await client.call("agent_schedules.delete_agent_schedule", **where)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"schedule": {"type": "hourly"}}, "schedule"),
    ({"schedule": {"type": "once"}}, "schedule.once.run_at"),
    ({"schedule": {"type": "once", "run_at": "soon"}}, "schedule.run_at"),
    ({"schedule": {"type": "once", "run_at": "2020-01-01T00:00:00Z"}}, "schedule.run_at"),
    ({"schedule": {"type": "once", "run_at": "9999-12-31T23:59:59Z"}}, "schedule.run_at"),
    ({"schedule": {"type": "interval", "interval_seconds": 0}}, "schedule.interval.interval_seconds"),
    ({"schedule": {"type": "interval", "interval_seconds": 60, "start_at": "x"}}, "schedule.start_at"),
    ({"schedule": {"type": "cron", "cron_expression": "* * * * * *"}}, "schedule.cron_expression"),
    ({"schedule": {"type": "cron", "cron_expression": "0 0 31 2 *"}}, "schedule.cron_expression"),
    ({"schedule": {**DAILY, "timezone": "Mars/Olympus"}}, "schedule.timezone"),
    ({"input": ""}, None),
    ({"input": "x" * 20_001}, None),
    ({"name": "x" * 121}, "name"),
    ({"context_management": [{"type": "compaction", "compact_threshold": 999}]}, None),
    ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "previous_response_id"),
]  # type: ignore[list-item]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
async def test_bad_schedules_are_refused(prober: Client, fields: dict[str, Any], param: str | None) -> None:
    agent = await make_agent(prober)
    body = {"schedule": DAILY, "input": "x", **fields}

    answer = await prober.raw("POST", f"/api/v1/agents/{agent.id}/schedules", json=body)

    assert answer.status == 400
    error = check_envelope(answer)
    assert param is None or error["param"] == param
