"""Responses (M§3.7), by the published client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest
from tests.support.live import LiveServer
from tests.support.mka1 import Client
from tests.support.tenants import Tenants

MODEL = "openai/m"
TOOLS = "simulator/tools"
BOTH = {"conversation": "conv_" + "0" * 32, "previous_response_id": "resp_" + "0" * 32}
ADD = {
    "type": "function",
    "name": "add",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
        "x-assay": {"python": {"source": "def run(arguments):\n    return arguments['a'] + arguments['b']\n"}},
    },
}
CLIENTS_OWN: dict[str, Any] = {
    "type": "function",
    "name": "look",
    "strict": False,
    "parameters": {"type": "object", "properties": {}},
}


async def finished(client: Client, response_id: str) -> Any:
    async with asyncio.timeout(20):
        while True:
            response = await client.ask("responses.get", response_id=response_id)
            if response.status not in {"queued", "in_progress"}:
                return response
            await asyncio.sleep(0.05)


async def test_a_response_is_answered_when_it_has_ended(client: Client) -> None:
    response = await client.ask("responses.create", model=MODEL, input="say answer=42", metadata={"a": "b"})

    assert (response.status, response.output_text, response.error) == ("completed", "42", None)
    assert response.id.startswith("resp_")
    assert response.resolved_model == MODEL
    assert response.usage.total_tokens > 0
    assert response.metadata == {"a": "b"}
    assert [item.type for item in response.output] == ["message"]
    again = await client.ask("responses.get", response_id=response.id)
    assert again == response


async def test_a_tool_is_called_until_there_is_an_answer(client: Client) -> None:
    response = await client.ask(
        "responses.create", model=TOOLS, input='call add {"a": 1, "b": 2}, then call add {"a": 3, "b": 4}', tools=[ADD]
    )

    assert (response.status, response.output_text) == ("completed", "3; 7")
    kinds = [item.type for item in response.output]
    assert kinds == ["function_call", "function_call_output"] * 2 + ["message"]
    assert "x-assay" in response.tools[0].parameters


async def test_a_response_in_the_background_can_be_waited_for_listed_changed_and_deleted(client: Client) -> None:
    made = await client.ask("responses.create", model=MODEL, input="answer=7", background=True)
    assert made.status == "queued"
    assert made.usage.total_tokens == 0

    ended = await finished(client, made.id)
    assert (ended.status, ended.output_text, ended.background) == ("completed", "7", True)
    page = await client.ask("responses.list", limit=1)
    assert [row.id for row in page.data] == [made.id]
    changed = await client.ask("responses.update", response_id=made.id, metadata={"k": "v"})
    assert changed.metadata == {"k": "v"}
    items = await client.ask("responses.list_input_items", response_id=made.id)
    assert [item.content[0].text for item in items.data] == ["answer=7"]
    gone = await client.ask("responses.delete", response_id=made.id)
    assert gone.deleted is True
    await client.refused(404, "responses.get", response_id=made.id)


async def test_events_come_in_order_and_end_without_a_sentinel(client: Client) -> None:
    asked = {"model": TOOLS, "input": 'call add {"a": 1, "b": 2}', "tools": [ADD]}
    stream = await client.ask("responses.create", **asked, stream=True)
    decoded = [event async for event in _events(stream)]
    # What the SDK makes of an event leaves out what it does not know.
    events = _parse(client.last.content)
    assert [event["type"] for event in decoded] == [event["type"] for event in events]

    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert "response.output_text.delta" in kinds
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["response"]["status"] == "queued"
    assert events[-1]["response"]["output_text"] == "3"
    assert b"[DONE]" not in client.last.content

    later = await client.raw("GET", f"/api/v1/llm/responses/{events[0]['response']['id']}?stream=true&starting_after=1")
    assert _parse(later.content) == events[2:]


async def _events(stream: Any) -> AsyncIterator[dict[str, Any]]:
    if hasattr(stream, "__aiter__"):
        async for event in stream:
            yield _plain(event)
    else:
        for event in stream:
            yield _plain(event)


def _plain(event: Any) -> dict[str, Any]:
    data = event.data if hasattr(event, "data") else event
    return orjson.loads(data.model_dump_json(by_alias=True)) if hasattr(data, "model_dump_json") else data


def _parse(content: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line[6:]) for line in content.splitlines() if line.startswith(b"data: ")]


@pytest.fixture
def hanging(live: LiveServer) -> Iterator[None]:
    live.models.behaviour.hanging = "hang here"
    yield
    live.models.behaviour.hanging = None
    live.call(_release(live))


async def _release(live: LiveServer) -> None:
    live.models.release()


@pytest.mark.usefixtures("hanging")
async def test_a_response_is_cancelled_at_once_and_stays_so(client: Client) -> None:
    made = await client.ask("responses.create", model=MODEL, input="hang here", background=True)

    cancelled = await client.ask("responses.cancel", response_id=made.id)
    assert cancelled.status == "cancelled"
    assert (await client.ask("responses.cancel", response_id=made.id)).status == "cancelled"
    assert (await client.ask("responses.get", response_id=made.id)).status == "cancelled"


async def test_what_has_ended_cannot_be_cancelled_or_woken(client: Client) -> None:
    response = await client.ask("responses.create", model=MODEL, input="answer=1")

    error = await client.refused(409, "responses.cancel", response_id=response.id)
    assert error["details"]["status"] == "completed"
    await client.refused(409, "responses.wake", response_id=response.id, input="up")


async def test_a_chain_keeps_its_context(client: Client, live: LiveServer) -> None:
    first = await client.ask("responses.create", model=MODEL, input="my name is Ada answer=hello")
    await client.ask("responses.create", model=MODEL, input="who am I?", previous_response_id=first.id)

    sent = live.models.stats.last_body["messages"]
    assert [message["content"] for message in sent] == ["my name is Ada answer=hello", "hello", "who am I?"]


async def test_a_conversation_keeps_its_context(client: Client, live: LiveServer) -> None:
    item = {"type": "message", "role": "user", "content": "I like tea"}
    conversation = await client.ask("conversations.create", items=[item], metadata={"a": "b"})
    await client.ask("responses.create", model=MODEL, input="so answer=noted", conversation=conversation.id)
    await client.ask("responses.create", model=MODEL, input="what?", conversation={"id": conversation.id})

    sent = live.models.stats.last_body["messages"]
    assert [message["content"] for message in sent] == ["I like tea", "so answer=noted", "noted", "what?"]
    items = await client.ask("conversations.list_items", conversation_id=conversation.id, order="asc")
    assert len(items.data) == 5


async def test_a_function_of_the_clients_own_is_handed_back(client: Client) -> None:
    first = await client.ask("responses.create", model=TOOLS, input="call look {}", tools=[CLIENTS_OWN])
    assert first.status == "completed"
    [call] = first.output
    assert (call.type, call.name) == ("function_call", "look")

    output = {"type": "function_call_output", "call_id": call.call_id, "output": "a cat"}
    second = await client.ask(
        "responses.create", model=TOOLS, input=[output], previous_response_id=first.id, tools=[CLIENTS_OWN]
    )
    assert second.output_text == "a cat"


async def test_a_sleeping_response_is_woken(client: Client) -> None:
    made = await client.ask(
        "responses.create",
        model=TOOLS,
        input='call sleep {"duration_seconds": 3600}',
        tools=[{"type": "sleep"}],
        background=True,
    )
    async with asyncio.timeout(20):
        while (await client.raw("POST", f"/api/v1/llm/responses/{made.id}/wake", json={"input": "up"})).status != 200:
            await asyncio.sleep(0.05)

    ended = await finished(client, made.id)
    assert ended.status == "completed"
    said = orjson.loads(ended.output_text)
    assert (said["woken"], said["input"]) == (True, "up")


async def test_a_kind_of_tool_that_cannot_be_carried_out_is_refused_by_name(client: Client) -> None:
    error = await client.refused(400, "responses.create", model=MODEL, input="x", tools=[{"type": "web_search"}])
    assert error["details"]["code"] == "unsupported_tool"
    assert "web_search" in error["message"]


async def test_limits_end_a_response_as_incomplete(client: Client) -> None:
    response = await client.ask(
        "responses.create",
        model=TOOLS,
        input='call add {"a": 1, "b": 2}, then call add {"a": 1, "b": 2}',
        tools=[ADD],
        max_tool_calls=1,
    )
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_tool_calls"


async def test_a_fallback_answers_for_a_model_that_fails(client: Client, live: LiveServer) -> None:
    live.models.behaviour.refused.add("only elsewhere")
    try:
        response = await client.ask(
            "responses.create", model=MODEL, input="only elsewhere", fallback_models=["simulator/echo"]
        )
        failed = await client.ask("responses.create", model=MODEL, input="only elsewhere")
    finally:
        live.models.behaviour.refused.discard("only elsewhere")
    assert (response.status, response.resolved_model) == ("completed", "simulator/echo")
    assert (failed.status, failed.error.code) == ("failed", "provider_rejected_request")


async def test_what_is_not_stored_cannot_be_read(client: Client) -> None:
    response = await client.ask("responses.create", model=MODEL, input="answer=1", store=False)
    assert response.output_text == "1"
    await client.refused(404, "responses.get", response_id=response.id)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "nobody/knows", "input": "x"}, "model"),
        ({"model": MODEL, "input": [{"type": "input_file", "file_id": "f"}]}, "input[0].type"),
        ({"model": MODEL, "input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"model": MODEL, "input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"model": MODEL, "input": "x", "prompt": {"id": "p"}}, "prompt"),
        ({"model": MODEL, "input": "x", "background": True, "store": False}, "store"),
        ({"model": MODEL, "input": "x", "metadata": {"k": "v" * 600}}, "metadata"),
        ({**BOTH, "model": MODEL, "input": "x"}, "previous_response_id"),
    ],
)
async def test_bad_input_is_named(prober: Client, body: dict[str, Any], param: str) -> None:
    answer = await prober.raw("POST", "/api/v1/llm/responses", json=body)
    assert answer.status == 400, answer
    assert answer.json["error"]["param"] == param


async def test_outsiders_see_nothing(client: Client, outsider: Client) -> None:
    response = await client.ask("responses.create", model=MODEL, input="answer=1")
    conversation = await client.ask("conversations.create")

    for operation in ("get", "cancel", "delete", "list_input_items"):
        await outsider.refused(404, f"responses.{operation}", response_id=response.id)
    await outsider.refused(404, "responses.create", model=MODEL, input="x", previous_response_id=response.id)
    await outsider.refused(404, "responses.create", model=MODEL, input="x", conversation=conversation.id)
    await outsider.refused(404, "conversations.get", conversation_id=conversation.id)
    assert response.id not in {row.id for row in (await outsider.ask("responses.list")).data}


async def test_scopes(connect: Any, tenants: Tenants) -> None:
    for token, status in ((None, 401), (tenants.no_scopes, 403), (tenants.read_only, 403)):
        await connect(token).refused(status, "responses.create", model=MODEL, input="x")


async def test_a_request_that_is_sent_again_waits_for_the_same_response(client: Client, live: LiveServer) -> None:
    headers = {"Idempotency-Key": f"again-{client.mode}"}
    body = {"model": MODEL, "input": "once answer=1"}
    answers = await asyncio.gather(
        *(client.raw("POST", "/api/v1/llm/responses", json=body, headers=headers) for _ in range(3))
    )
    assert len({answer.json["id"] for answer in answers}) == 1
    assert {answer.json["output_text"] for answer in answers} == {"1"}
