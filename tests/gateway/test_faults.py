"""How calls fail, are tried again, and give up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson
import pytest
from tests.support.gateways import OPENAI_KEY, OpenGateway
from tests.support.model_server import Behaviour, ModelServer

from assay.gateway import errors
from assay.gateway.errors import ProviderError, RetryableProviderError, TerminalProviderError
from assay.gateway.limits import INITIAL_CONCURRENCY
from assay.gateway.providers.transport import MAX_ERROR_CHARACTERS
from assay.gateway.types import CallRecord, Message, ModelRequest, resolve_generation
from assay.kit.errors import InvalidError

ASK = (Message("user", "answer=yes"),)


def _request(model: str = "openai/m", **config: object) -> ModelRequest:
    return ModelRequest(model, ASK, resolve_generation(config))


def _body(message: str, code: str = "") -> bytes:
    return orjson.dumps({"error": {"message": message, "code": code}})


@dataclass(frozen=True)
class Case:
    id: str
    status: int
    body: bytes
    error: type[ProviderError]


CASES = [
    Case("bad request", 400, _body("bad temperature"), errors.RequestRejectedError),
    Case("unprocessable", 422, b'{"detail": "x"}', errors.RequestRejectedError),
    Case("context by code", 400, _body("x", "context_length_exceeded"), errors.ContextLengthError),
    Case("context by text", 400, _body("prompt is too long: 9 tokens"), errors.ContextLengthError),
    Case("key", 401, _body("wrong key"), errors.ProviderAccessError),
    Case("right", 403, b"forbidden", errors.ProviderAccessError),
    Case("missing", 404, _body("no such model"), errors.ProviderNotFoundError),
    Case("no money", 429, _body("pay", "insufficient_quota"), errors.QuotaExhaustedError),
    Case("no money at Anthropic", 400, _body("Your credit balance is too low"), errors.QuotaExhaustedError),
    Case("redirect", 302, b"", errors.RequestRejectedError),
    Case("rate", 429, _body("slow"), errors.RateLimitedError),
    Case("fault", 500, b"<html>", errors.ProviderOverloadedError),
    Case("overloaded", 529, _body("busy"), errors.ProviderOverloadedError),
    Case("conflict", 409, b"", errors.ProviderOverloadedError),
    Case("not JSON", 200, b"hello", errors.MalformedReplyError),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_status_to_error(case: Case, gateway_at: OpenGateway) -> None:
    async with ModelServer(Behaviour(script=[(case.status, case.body)])) as server, gateway_at(server.url) as gateway:
        with pytest.raises(ProviderError) as caught:
            await gateway.respond(_request(max_retries=0))
    assert type(caught.value) is case.error
    assert isinstance(caught.value, RetryableProviderError | TerminalProviderError)
    assert caught.value.message.startswith("openai: ")
    assert caught.value.status == case.status
    assert [attempt.status for attempt in caught.value.attempts] == [case.status]


async def test_the_message_is_bounded_and_shows_no_key(gateway_at: OpenGateway) -> None:
    body = _body(f"key {OPENAI_KEY} is wrong " + "x" * 5000)
    async with ModelServer(Behaviour(script=[(401, body)])) as server, gateway_at(server.url) as gateway:
        with pytest.raises(ProviderError) as caught:
            await gateway.respond(_request())
    assert OPENAI_KEY not in caught.value.message + str(caught.value.attempts)
    assert "key [secret] is wrong" in caught.value.message
    assert len(caught.value.message) < MAX_ERROR_CHARACTERS + 200


async def test_a_terminal_fault_is_not_tried_again(gateway_at: OpenGateway) -> None:
    async with ModelServer(Behaviour(script=[(400, b"{}")])) as server, gateway_at(server.url) as gateway:
        with pytest.raises(TerminalProviderError):
            await gateway.respond(_request(max_retries=5))
        assert server.stats.requests == 1


async def test_retryable_faults_are_tried_again_and_all_attempts_are_kept(gateway_at: OpenGateway) -> None:
    seen: list[CallRecord] = []
    script = [(500, b"{}"), (200, b"not json")]
    async with (
        ModelServer(Behaviour(script=script)) as server,
        gateway_at(server.url, observer=seen.append) as gateway,
    ):
        reply = await gateway.respond(_request())
    assert reply.text == "yes"
    assert [(attempt.status, attempt.error is None) for attempt in reply.attempts] == [
        (500, False),
        (200, False),
        (200, True),
    ]
    assert [record.outcome for record in seen] == ["provider_overloaded", "provider_malformed_reply", "ok"]


async def test_retries_are_used_up(gateway_at: OpenGateway) -> None:
    async with ModelServer(Behaviour(rate_500=1.0)) as server, gateway_at(server.url) as gateway:
        with pytest.raises(errors.ProviderOverloadedError) as caught:
            await gateway.respond(_request(max_retries=1))
        assert server.stats.requests == 2
    assert len(caught.value.attempts) == 2


async def test_rate_limits_use_up_no_retries(gateway_at: OpenGateway) -> None:
    behaviour = Behaviour(script=[(429, b"{}")] * 3, script_headers={"retry-after-ms": "1"})
    async with ModelServer(behaviour) as server, gateway_at(server.url) as gateway:
        reply = await gateway.respond(_request(max_retries=1))
    assert [attempt.status for attempt in reply.attempts] == [429, 429, 429, 200]


async def test_no_retries_means_none_at_all(gateway_at: OpenGateway) -> None:
    async with ModelServer(Behaviour(script=[(429, b"{}")])) as server, gateway_at(server.url) as gateway:
        with pytest.raises(errors.RateLimitedError):
            await gateway.respond(_request(max_retries=0))


async def test_retry_after_is_obeyed(gateway_at: OpenGateway) -> None:
    behaviour = Behaviour(script=[(429, b"{}")], script_headers={"Retry-After": "0.3"})
    async with ModelServer(behaviour) as server, gateway_at(server.url) as gateway:
        reply = await gateway.respond(_request())
    first, second = reply.attempts
    assert (second.started_at - first.started_at).total_seconds() >= 0.3


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Behaviour(hang=True), errors.ProviderTimeoutError),
        (Behaviour(truncated=True), errors.MalformedReplyError),
        (Behaviour(malformed=True), errors.MalformedReplyError),
        (Behaviour(huge_bytes=70_000_000), errors.MalformedReplyError),
    ],
    ids=["hang", "truncated", "malformed", "huge"],
)
async def test_broken_answers(behaviour: Behaviour, error: type[ProviderError], gateway_at: OpenGateway) -> None:
    timeout = 0.2 if behaviour.hang else 10
    async with ModelServer(behaviour) as server, gateway_at(server.url) as gateway:
        with pytest.raises(error):
            await gateway.respond(_request(max_retries=0, timeout_seconds=timeout))


async def test_nobody_listens(gateway_at: OpenGateway) -> None:
    async with ModelServer() as server:
        url = server.url
    async with gateway_at(url) as gateway:
        with pytest.raises(errors.ProviderConnectionError):
            await gateway.respond(_request(max_retries=0))


async def test_blank_replies_are_asked_again(gateway_at: OpenGateway) -> None:
    texts = iter(["", " \n", "yes"])
    behaviour = Behaviour(reply=lambda prompt, body: next(texts))
    toml = '[models.m]\nprovider = "openai"\nprices = {input = 1, output = 1}\n'
    async with ModelServer(behaviour) as server, gateway_at(server.url, toml=toml) as gateway:
        reply = await gateway.respond(_request("m", max_empty_retries=2))
    assert reply.text == "yes"
    assert len(reply.attempts) == 3
    # Three prompts of 3 tokens and three replies of 1 token, at a dollar for a million.
    assert str(reply.cost_usd) == "0.000012"


async def test_blank_replies_are_returned_when_nothing_else_comes(gateway_at: OpenGateway) -> None:
    async with ModelServer(Behaviour(reply=lambda prompt, body: " ")) as server, gateway_at(server.url) as gateway:
        reply = await gateway.respond(_request(max_empty_retries=1))
        assert server.stats.requests == 2
    assert reply.blank


async def test_a_cancelled_call_gives_its_place_back(gateway_at: OpenGateway) -> None:
    async with ModelServer(Behaviour(hang=True)) as server, gateway_at(server.url) as gateway:
        call = asyncio.create_task(gateway.respond(_request()))
        async with asyncio.timeout(10):
            while server.stats.in_flight == 0:
                await asyncio.sleep(0.005)
        limiter = gateway.limiter("openai/m")
        assert limiter is not None
        assert limiter.in_flight == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert limiter.in_flight == 0


async def test_many_calls_through_faults_lose_nothing(gateway_at: OpenGateway) -> None:
    behaviour = Behaviour(rate_429=0.05, rate_500=0.05, retry_after_seconds=0.05, seed=7)
    async with ModelServer(behaviour) as server, gateway_at(server.url) as gateway:
        requests = [ModelRequest("openai/m", (Message("user", f"answer={i}"),)) for i in range(400)]
        replies = await asyncio.gather(*map(gateway.respond, requests))
        assert [reply.text for reply in replies] == [str(i) for i in range(400)]
        assert server.stats.requests == sum(len(reply.attempts) for reply in replies)
        assert set(server.stats.prompts.values()) == {1}


@pytest.mark.parametrize(("status", "cut"), [(429, True), (503, True), (529, True), (500, False)])
async def test_signs_of_load_lower_the_concurrency(status: int, cut: bool, gateway_at: OpenGateway) -> None:
    async with ModelServer(Behaviour(script=[(status, b"{}")])) as server, gateway_at(server.url) as gateway:
        with pytest.raises(ProviderError):
            await gateway.respond(_request(max_retries=0))
        limiter = gateway.limiter("openai/m")
    assert limiter is not None
    assert (limiter.limit < INITIAL_CONCURRENCY) == cut


@pytest.mark.parametrize("model", ["openai/m", "anthropic/m"])
async def test_text_that_is_no_unicode_is_refused(model: str, gateway_at: OpenGateway) -> None:
    request = ModelRequest(model, (Message("user", "half a pair: \ud800"),))
    async with ModelServer() as server, gateway_at(server.url) as gateway:
        with pytest.raises(InvalidError, match="JSON"):
            await gateway.respond(request)
        with pytest.raises(InvalidError, match="JSON"):
            gateway.cache_key(request)
        with pytest.raises(InvalidError, match="instructions"):
            resolve_generation({"instructions": "\ud800"})
        assert server.stats.requests == 0
