"""Runs of agents and their events, by the published SDK (M§3.4).

What carries a run out is played here by the core's own calls, so that each state can be looked at in peace.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from sqlalchemy import update
from tests.dialects.mka1.agent_objects import make_agent, queue_run
from tests.dialects.mka1.conftest import Connect
from tests.support.live import LiveServer
from tests.support.mka1 import Client
from tests.support.tenants import Tenants

from assay.core.agents import progress
from assay.core.agents.models import AgentRunRow
from assay.core.agents.progress import FinishedStep
from assay.core.agents.types import NewEvent, RunStatus, RunUsage, StepKind
from assay.db.session import transaction
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

ITEM = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}


class Played:
    """Carries one run out by hand."""

    def __init__(self, live: LiveServer, run_id: str) -> None:
        self._live = live
        self._run_id = read_id(Prefix.AGENT_RUN, run_id, param="run_id")
        self.response_id = new_id()

    @property
    def response(self) -> dict[str, Any]:
        return {"id": f"resp_{self.response_id.hex}", "object": "response", "status": "in_progress"}

    def begin(self) -> bool:
        return self._call(self._begin)

    async def _begin(self, session: Any, run_id: UUID) -> bool:
        created = NewEvent("response.created", {"response": self.response})
        begun = await progress.begin_run(
            session, run_id=run_id, response_id=self.response_id, response=self.response, events=[created]
        )
        return begun is not None

    def step(self, key: str = "turn/1", text: str = "hi") -> bool:
        async def finish(session: Any, run_id: UUID) -> bool:
            event = NewEvent("response.output_item.done", {"item": {**ITEM, "text": text}})
            step = FinishedStep(
                key, StepKind.MODEL_TURN, utc_now(), items=[ITEM], usage=RunUsage(input_tokens=3), events=[event]
            )
            return await progress.finish_step(session, run_id=run_id, step=step) is not None

        return self._call(finish)

    def end(self, status: RunStatus = RunStatus.COMPLETED, error: dict[str, Any] | None = None) -> bool:
        async def finish(session: Any, run_id: UUID) -> bool:
            response = {**self.response, "status": status.value}
            return await progress.finish_run(session, run_id=run_id, status=status, response=response, error=error)

        return self._call(finish)

    def sleep(self) -> bool:
        async def fall_asleep(session: Any, run_id: UUID) -> bool:
            return await progress.sleep_run(session, run_id=run_id, until=utc_now() + timedelta(minutes=1))

        return self._call(fall_asleep)

    def wakes(self, key: str) -> list[Any]:
        async def take(session: Any, run_id: UUID) -> list[Any]:
            return [wake.input for wake in await progress.take_wakes(session, run_id=run_id, step_key=key)]

        return self._call(take)

    def ask(self, request_id: str) -> bool:
        async def note(session: Any, run_id: UUID) -> bool:
            return await progress.ask_approval(session, run_id=run_id, request_id=request_id, call={"tool": "t"})

        return self._call(note)

    def age(self, by: timedelta) -> None:
        async def set_back(session: Any, run_id: UUID) -> None:
            changed = update(AgentRunRow).where(AgentRunRow.id == run_id)
            await session.execute(changed.values(created_at=utc_now() - by))

        self._call(set_back)

    def _call(self, act: Any) -> Any:
        async def inside() -> Any:
            async with transaction(self._live.runtime.sessions) as session:
                return await act(session, self._run_id)

        return self._live.call(inside())


@pytest.fixture
async def where(client: Client, live: LiveServer) -> dict[str, Any]:
    """A queued run of an agent, as path arguments."""
    agent = await make_agent(client)
    return {"agent_id": agent.id, "run_id": queue_run(live, agent.id)}


@pytest.fixture
def played(live: LiveServer, where: dict[str, Any]) -> Played:
    return Played(live, where["run_id"])


def parse(stream: str) -> list[dict[str, Any]]:
    """The events of a stream; every frame's id is its event's number, and its name is its type."""
    found: list[dict[str, Any]] = []
    for frame in stream.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        if lines:
            data = orjson.loads(lines["data"])
            assert (int(lines["id"]), lines["event"]) == (data["sequence_number"], data["type"])
            found.append(data)
    return found


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


async def test_a_run_is_queued_with_what_it_was_given(client: Client) -> None:
    agent = await make_agent(client)

    run = await client.call(
        "agent_runs.create_agent_run",
        agent_id=agent.id,
        input=[{"type": "text", "text": "hello"}],
        conversation={"id": "conv_1"},
        context_management=[{"type": "compaction", "compact_threshold": 1000}],
        metadata={"a": "b"},
        stream=True,
    )
    assert run.status == "queued"

    assert client.last.status == 201
    assert client.last.json | {"created_at": ""} == {
        "object": "agent.run",
        "id": run.id,
        "agent_id": agent.id,
        "agent_version": 1,
        "status": "queued",
        "input": [{"type": "text", "text": "hello"}],
        "conversation": {"id": "conv_1"},
        "previous_response_id": None,
        "metadata": {"a": "b"},
        "gateway_response_id": None,
        "gateway_response": None,
        "error": None,
        "created_at": "",
        "completed_at": None,
    }


async def test_a_run_is_followed_to_its_end(client: Client, where: dict[str, Any], played: Played) -> None:
    following = asyncio.create_task(client.call("agent_runs.stream_agent_run_events", **where))
    assert played.begin()
    assert played.step()
    assert played.step(), "the same step again is the same step"
    run = await client.call("agent_runs.get_agent_run", **where)
    assert (run.status, run.gateway_response_id) == ("submitting", f"resp_{played.response_id.hex}")
    # Longer than the SDK waits for a byte.
    await asyncio.sleep(5.5)
    assert not following.done()
    assert played.end()
    assert not played.end(RunStatus.FAILED), "a run ends once"

    events = parse(await following)

    assert types(events) == ["response.created", "response.output_item.done", "response.completed"]
    again = parse(await client.call("agent_runs.stream_agent_run_events", **where))
    assert again == events
    run = await client.call("agent_runs.get_agent_run", **where)
    assert (run.status, run.gateway_response["status"]) == ("completed", "completed")
    assert run.completed_at is not None
    error = await client.refused(409, "agent_runs.cancel_agent_run", **where)
    assert error["details"] == {"code": "agent_run_state", "status": "completed"}


async def test_a_stream_goes_on_after_the_last_event(
    client: Client, live: LiveServer, tenants: Tenants, where: dict[str, Any], played: Played
) -> None:
    played.begin()
    played.step()
    played.end(RunStatus.INCOMPLETE)
    url = f"{live.url}/api/v1/agents/{where['agent_id']}/runs/{where['run_id']}/events"
    headers = {"Authorization": f"Bearer {tenants.all_scopes}"}

    async with httpx.AsyncClient(verify=False) as http:
        rest = await http.get(url, headers={**headers, "Last-Event-ID": "1"})
        bad = await http.get(url, headers={**headers, "Last-Event-ID": "x"})

    assert rest.headers["content-type"].startswith("text/event-stream")
    assert types(parse(rest.text)) == ["response.incomplete"]
    assert bad.status_code == 400


async def test_a_run_that_nobody_takes_up_is_not_followed(
    client: Client, where: dict[str, Any], played: Played
) -> None:
    played.age(timedelta(minutes=2))

    await client.refused(409, "agent_runs.stream_agent_run_events", **where)

    await client.call("agent_runs.cancel_agent_run", **where)


async def test_cancelling(client: Client, where: dict[str, Any], played: Played) -> None:
    first = await client.call("agent_runs.cancel_agent_run", **where)

    assert (first.status, first.gateway_response) == ("cancelled", None)
    assert await client.call("agent_runs.cancel_agent_run", **where) == first
    assert not played.begin(), "it is not taken up any more"
    events = parse(await client.call("agent_runs.stream_agent_run_events", **where))
    assert types(events) == ["response.cancelled"]


async def test_cancelling_what_is_being_carried_out(
    client: Client, connect: Connect, tenants: Tenants, where: dict[str, Any], played: Played
) -> None:
    played.begin()
    await connect(tenants.read_only).refused(403, "agent_runs.cancel_agent_run", **where)

    run = await client.call("agent_runs.cancel_agent_run", **where)

    assert (run.status, run.gateway_response["status"]) == ("cancelled", "cancelled")
    assert not played.step(), "what is done afterwards does not count"
    assert not played.end()


async def test_a_failure_says_what_it_was(client: Client, where: dict[str, Any], played: Played) -> None:
    played.begin()
    played.end(RunStatus.FAILED, {"code": "unsupported_tool", "message": "x"})

    run = await client.call("agent_runs.get_agent_run", **where)

    assert (run.status, run.error) == ("failed", {"code": "unsupported_tool", "message": "x"})


async def test_waking(client: Client, where: dict[str, Any], played: Played) -> None:
    played.begin()
    await client.refused(409, "agent_runs.wake_agent_run", **where, input="now")
    played.sleep()

    wake = await client.call("agent_runs.wake_agent_run", **where, input="now")

    assert (wake.run_id, wake.gateway_response_id) == (where["run_id"], f"resp_{played.response_id.hex}")
    assert played.wakes("call/1") == ["now"]
    assert played.wakes("call/1") == ["now"], "a step that is tried again finds them again"
    assert played.wakes("call/2") == []
    await client.call("agent_runs.cancel_agent_run", **where)
    await client.refused(409, "agent_runs.wake_agent_run", **where, input="now")


async def test_an_approval_is_decided_once(client: Client, where: dict[str, Any], played: Played) -> None:
    decision: dict[str, Any] = {**where, "approval_request_id": "mcpr_1", "approve": True, "reason": "fine"}
    played.begin()
    await client.refused(404, "agent_runs.decide_agent_run_mcp_approval", **decision)
    played.ask("mcpr_1")
    await client.refused(409, "agent_runs.decide_agent_run_mcp_approval", **decision)
    played.end()

    decided = await client.call("agent_runs.decide_agent_run_mcp_approval", **decision)

    assert client.last.status == 201
    assert (decided.approved, decided.source_run_id) == (True, where["run_id"])
    continuation = decided.continuation_run
    assert continuation.previous_response_id == f"resp_{played.response_id.hex}"
    assert continuation.input == [
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True, "reason": "fine"}
    ]
    error = await client.refused(409, "agent_runs.decide_agent_run_mcp_approval", **decision)
    assert error["details"]["code"] == "approval_decided"


async def test_runs_are_listed_by_offset(client: Client) -> None:
    agent = await make_agent(client)
    made = [
        (await client.call("agent_runs.create_agent_run", agent_id=agent.id, input=str(number))).id
        for number in range(3)
    ]

    newest = await client.call("agent_runs.list_agent_runs", agent_id=agent.id, limit=2)
    rest = await client.call("agent_runs.list_agent_runs", agent_id=agent.id, offset=1, order="asc")

    assert [run.id for run in newest.data] == [made[2], made[1]]
    assert newest.has_more
    assert [run.id for run in rest.data] == made[1:]


async def test_a_run_belongs_to_its_agent(client: Client, where: dict[str, Any]) -> None:
    other = await make_agent(client)

    await client.refused(404, "agent_runs.get_agent_run", agent_id=other.id, run_id=where["run_id"])

    await client.call("agent_runs.cancel_agent_run", **where)


@pytest.mark.parametrize("body", [{}, {"input": ""}, {"input": 5}, {"input": [5]}, {"input": "x" * 20_001}])
async def test_bad_runs_are_refused(prober: Client, body: dict[str, Any]) -> None:
    agent = await make_agent(prober)

    answer = await prober.raw("POST", f"/api/v1/agents/{agent.id}/runs", json=body)

    assert answer.status == 400
