from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.gateways import OpenGateway
from tests.support.model_server import ModelServer

from assay.db.engine import SessionFactory
from assay.gateway.cache import ResponseCache, cache_key
from assay.gateway.types import Generation, Message, ModelReply, ModelRequest, ToolCall, Usage
from assay.kit.clock import utc_now

BASE = ModelRequest("openai/m", (Message("user", "hi"),), Generation(temperature=0.0))
FULL = ModelReply(
    "tëxt\0",
    "m",
    "p",
    "r1",
    "stop",
    "because",
    Usage(5, 4, 3, 2, 1),
    Decimal("0.000000125"),
    (ToolCall("1", "f", '{"a":1}'),),
)

OTHERS = {
    "project": replace(BASE, project_id=UUID(int=1)),
    "generation": replace(BASE, generation=Generation(temperature=0.1)),
    "repeat": replace(BASE, repeat=1),
    "text": replace(BASE, messages=(Message("user", "hi "),)),
    "role": replace(BASE, messages=(Message("system", "hi"),)),
    "more": replace(BASE, messages=(Message("user", "hi"), Message("user", "hi"))),
    "parts": replace(BASE, messages=(Message("user", ({"type": "text", "text": "hi"},)),)),
    "tool": replace(BASE, messages=(Message("user", "hi", tool_call_id="1"),)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_the_key_covers(other: ModelRequest) -> None:
    assert cache_key(other, "id") != cache_key(BASE, "id")


def test_the_key_leaves_policy_out_and_takes_the_identity_in() -> None:
    patient = replace(BASE, generation=Generation(temperature=0.0, max_retries=9, timeout_seconds=1))
    assert cache_key(patient, "id") == cache_key(BASE, "id")
    assert cache_key(BASE, "other") != cache_key(BASE, "id")


@given(
    st.lists(
        st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=8)), min_size=1, max_size=3, unique=True
    )
)
def test_requests_with_other_messages_have_other_keys(turns: list[tuple[str, str]]) -> None:
    turns = [(role, text.encode("utf-8", "replace").decode()) for role, text in turns]
    one = replace(BASE, messages=tuple(Message(role, text) for role, text in turns))
    joined = replace(BASE, messages=(Message(turns[0][0], "".join(text for _, text in turns)),))
    assert (cache_key(one, "id") == cache_key(joined, "id")) == (one.messages == joined.messages)


async def test_a_reply_survives_storage(sessions: SessionFactory) -> None:
    cache = ResponseCache(sessions)
    plain = ModelReply("x", "m", "p")
    await cache.put_many([(b"a" * 32, FULL), (b"b" * 32, plain)])
    found = await cache.get_many([b"a" * 32, b"b" * 32, b"c" * 32])
    assert found == {b"a" * 32: replace(FULL, cached=True), b"b" * 32: replace(plain, cached=True)}
    assert await cache.get_many([]) == {}


async def test_the_first_reply_stays(sessions: SessionFactory) -> None:
    cache = ResponseCache(sessions)
    await cache.put_many([(b"k", ModelReply("first", "m", "p"))])
    await cache.put_many([(b"k", ModelReply("second", "m", "p"))])
    assert (await cache.get_many([b"k"]))[b"k"].text == "first"


async def test_writers_of_the_same_keys_do_not_lock_each_other_out(sessions: SessionFactory) -> None:
    cache = ResponseCache(sessions)
    pairs = [(bytes([number]) * 32, ModelReply(str(number), "m", "p")) for number in range(200)]
    await asyncio.gather(*(cache.put_many(pairs[::step]) for step in (1, -1, 1, -1)))
    assert len(await cache.get_many([key for key, _ in pairs])) == 200


async def test_old_replies_are_deleted(sessions: SessionFactory) -> None:
    cache = ResponseCache(sessions)
    await cache.put_many([(b"k", ModelReply("x", "m", "p"))])
    assert await cache.delete_older(utc_now() - timedelta(days=1)) == 0
    assert await cache.delete_older(utc_now() + timedelta(days=1)) == 1


async def test_the_gateway_looks_up_in_order_and_asks_no_provider(
    sessions: SessionFactory, gateway_at: OpenGateway
) -> None:
    async with ModelServer() as server, gateway_at(server.url, sessions=sessions) as gateway:
        requests = [replace(BASE, messages=(Message("user", f"answer={number}"),)) for number in range(5)]
        assert await gateway.lookup_many(requests) == [None] * 5
        replies = [await gateway.respond(request) for request in requests[::2]]
        await gateway.remember_many(list(zip(requests[::2], replies, strict=True)))
        found = await gateway.lookup_many(requests)
        assert [reply and reply.text for reply in found] == ["0", None, "2", None, "4"]
        assert all(reply.cached for reply in found if reply is not None)
        assert server.stats.requests == 3
        fresh = replace(requests[0], generation=Generation(temperature=0.0, use_cache=False))
        assert await gateway.lookup_many([fresh]) == [None]


async def test_respond_cached_asks_once(sessions: SessionFactory, gateway_at: OpenGateway) -> None:
    async with ModelServer() as server, gateway_at(server.url, sessions=sessions) as gateway:
        first, second = [await gateway.respond_cached(BASE) for _ in range(2)]
        assert server.stats.requests == 1
    assert (first.cached, second.cached) == (False, True)
    assert first.text == second.text


async def test_blank_replies_are_not_remembered(sessions: SessionFactory, gateway_at: OpenGateway) -> None:
    async with gateway_at("http://127.0.0.1:1/v1", sessions=sessions) as gateway:
        await gateway.remember_many([(BASE, ModelReply(" ", "m", "p"))])
        assert await gateway.lookup_many([BASE]) == [None]
