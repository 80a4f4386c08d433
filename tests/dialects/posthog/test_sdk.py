"""The vendor's Python client, unmodified: its own calls, and its wrappers of the clients of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from posthog import AsyncPosthog, Posthog
from posthog.ai.anthropic import Anthropic
from posthog.ai.openai import AsyncOpenAI, OpenAI
from tests.dialects.posthog.conftest import Caller
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

from assay.core.events.types import EVALUATION

Errors = list[tuple[Exception, list[dict[str, Any]]]]
MODES: list[dict[str, Any]] = [
    {"sync_mode": True},
    {"sync_mode": True, "gzip": True},
    {"sync_mode": False, "gzip": True, "flush_at": 5},
    {"sync_mode": True, "capture_mode": "v1"},
    {"sync_mode": False, "capture_mode": "v1", "capture_compression": "gzip"},
    {"sync_mode": False, "capture_mode": "v1", "capture_compression": "deflate"},
]


@pytest.fixture
def errors() -> Errors:
    """What the client could not send."""
    return []


@pytest.fixture
def person() -> str:
    """A distinct id of the test's own."""
    return f"p-{uuid4().hex}"


@contextmanager
def client(live: LiveServer, token: str, errors: Errors, **options: Any) -> Generator[Posthog]:
    """A client that has sent everything when the block ends."""

    def note(error: Exception, batch: list[dict[str, Any]]) -> None:
        errors.append((error, batch))

    made = Posthog(token, host=live.url, on_error=note, max_retries=0, disable_geoip=False, **options)
    try:
        yield made
    finally:
        made.shutdown()


async def run(work: Callable[[], Any]) -> Any:
    """Blocking work, in a thread."""
    return await asyncio.to_thread(work)


async def stored(caller: Caller, person: str) -> list[dict[str, Any]]:
    """All events that were sent of a person, oldest first; evaluations of other tests may have judged them."""
    page = await caller.ok("GET", f"/events/?distinct_id={person}&limit=1000")
    assert page["next"] is None
    return [event for event in page["results"][::-1] if event["event"] != EVALUATION]


@pytest.mark.parametrize("options", MODES, ids=str)
async def test_events_arrive_by_every_mode(
    live: LiveServer, caller: Caller, tenants: Tenants, errors: Errors, person: str, options: dict[str, Any]
) -> None:
    uuids: list[str] = []

    def work() -> None:
        with client(live, tenants.capture_token, errors, **options) as posthog:
            for number in range(12):
                sent = posthog.capture(
                    "clicked", distinct_id=person, properties={"number": number, "$set": {"plan": "pro"}}
                )
                uuids.append(str(sent))
            uuids.append(str(posthog.set(distinct_id=person, properties={"age": 3})))
            uuids.append(str(posthog.capture_ai("$ai_metric", distinct_id=person, properties={"$ai_trace_id": "t"})))

    await run(work)

    assert errors == []
    found = await stored(caller, person)
    assert {row["id"] for row in found} == set(uuids)
    assert sorted(row["properties"]["number"] for row in found if row["event"] == "clicked") == list(range(12))
    assert {row["properties"]["$lib"] for row in found} == {"posthog-python"}
    query = '[{"key": "plan", "value": "pro", "type": "person"}, {"key": "age", "value": 3, "type": "person"}]'
    page = await caller.ok("GET", "/events/", params={"distinct_id": person, "properties": query})
    assert len(page["results"]) == 14


async def test_the_async_client(live: LiveServer, caller: Caller, tenants: Tenants, person: str) -> None:
    posthog = AsyncPosthog(tenants.capture_token, host=live.url)
    posthog.capture("clicked", distinct_id=person)
    await posthog.shutdown()

    assert [row["event"] for row in await stored(caller, person)] == ["clicked"]


@pytest.mark.parametrize("options", [{}, {"capture_mode": "v1"}], ids=str)
async def test_a_wrong_token_is_told(live: LiveServer, errors: Errors, person: str, options: dict[str, Any]) -> None:
    def work() -> None:
        with client(live, "phc_unknown", errors, **options) as posthog:
            posthog.capture("clicked", distinct_id=person)

    await run(work)

    assert [getattr(error, "status", None) for error, _ in errors] == [401]
    assert "No project has this token" in str(errors[0][0])


async def test_an_event_that_v1_drops_is_told(
    live: LiveServer, caller: Caller, tenants: Tenants, errors: Errors, person: str
) -> None:
    def work() -> None:
        with client(live, tenants.capture_token, errors, capture_mode="v1", flush_at=10) as posthog:
            posthog.capture("x" * 201, distinct_id=person)
            posthog.capture("good", distinct_id=person)

    await run(work)

    [(error, _)] = errors
    assert "dropped" in str(error)
    assert [row["event"] for row in await stored(caller, person)] == ["good"]


async def test_there_are_no_flags(live: LiveServer, tenants: Tenants, errors: Errors, person: str) -> None:
    def work() -> tuple[Any, Any]:
        with client(live, tenants.capture_token, errors, secret_key=tenants.all_scopes) as posthog:
            posthog.load_feature_flags()
            return posthog.get_all_flags(person), posthog.feature_flags

    assert await run(work) == ({}, [])


@pytest.fixture
async def wrapped(live: LiveServer, tenants: Tenants, errors: Errors) -> AsyncIterator[Posthog]:
    """A client for wrappers."""
    with client(live, tenants.capture_token, errors, sync_mode=True) as posthog:
        yield posthog
    assert errors == []


async def test_wrapped_openai_calls(live: LiveServer, caller: Caller, wrapped: Posthog, person: str) -> None:
    openai = OpenAI(api_key="sk-test", base_url=live.models.url, posthog_client=wrapped, max_retries=0)
    ours: dict[str, Any] = {
        "posthog_distinct_id": person,
        "posthog_trace_id": person,
        "posthog_properties": {"tier": "gold"},
    }
    messages: Any = [{"role": "user", "content": "Say answer=four"}]

    def work() -> None:
        openai.chat.completions.create(model="mock", messages=messages, temperature=0.5, **ours)
        openai.responses.create(model="mock", input="Say answer=five", **ours)
        openai.embeddings.create(model="mock-embed", input="text", **ours)

    await run(work)

    chat, responses, embedding = await stored(caller, person)
    assert [row["event"] for row in (chat, responses, embedding)] == ["$ai_generation"] * 2 + ["$ai_embedding"]
    said = chat["properties"]
    assert said["$ai_input"] == messages
    assert "four" in str(said["$ai_output_choices"])
    assert (said["$ai_model"], said["$ai_provider"], said["tier"]) == ("mock", "openai", "gold")
    assert said["$ai_input_tokens"] > 0
    assert said["$ai_model_parameters"]["temperature"] == 0.5
    assert "five" in str(responses["properties"]["$ai_output_choices"])
    trace = await caller.ok("GET", f"/llm_analytics/traces/{person}")
    assert [node["event"] for node in trace["tree"]] == ["$ai_generation"] * 2 + ["$ai_embedding"]
    verdicts = [child for node in trace["tree"] for child in node["children"] if child["event"] == EVALUATION]
    assert trace["event_count"] - len(verdicts) == 3
    assert trace["input_tokens"] == sum(row["properties"]["$ai_input_tokens"] for row in (chat, responses, embedding))


async def test_wrapped_async_openai_calls(live: LiveServer, caller: Caller, wrapped: Posthog, person: str) -> None:
    openai = AsyncOpenAI(api_key="sk-test", base_url=live.models.url, posthog_client=wrapped, max_retries=0)
    await openai.chat.completions.create(
        model="mock", messages=[{"role": "user", "content": "Hi"}], posthog_distinct_id=person
    )
    await openai.close()

    assert [row["event"] for row in await stored(caller, person)] == ["$ai_generation"]


async def test_a_wrapped_call_that_fails(live: LiveServer, caller: Caller, wrapped: Posthog, person: str) -> None:
    openai = OpenAI(api_key="sk-test", base_url=f"{live.models.url}/nowhere", posthog_client=wrapped, max_retries=0)

    def work() -> None:
        with pytest.raises(Exception, match="no route"):
            openai.chat.completions.create(
                model="mock", messages=[{"role": "user", "content": "Hi"}], posthog_distinct_id=person
            )

    await run(work)

    [row] = await stored(caller, person)
    assert (row["properties"]["$ai_is_error"], row["properties"]["$ai_http_status"]) == (True, 404)


async def test_wrapped_anthropic_calls(live: LiveServer, caller: Caller, wrapped: Posthog, person: str) -> None:
    anthropic = Anthropic(api_key="sk-ant-test", base_url=live.models.root, posthog_client=wrapped, max_retries=0)

    def work() -> None:
        ours: dict[str, Any] = {"posthog_distinct_id": person}
        messages: Any = [{"role": "user", "content": "Say answer=four"}]
        anthropic.messages.create(model="mock", max_tokens=10, messages=messages, **ours)

    await run(work)

    [row] = await stored(caller, person)
    assert (row["event"], row["properties"]["$ai_provider"]) == ("$ai_generation", "anthropic")
    assert "four" in str(row["properties"]["$ai_output_choices"])
    assert row["properties"]["$ai_cache_read_input_tokens"] == 3
