"""Requests that are sent again (M§1.8, M§7 R5): done once when they repeat one, twice when they are wished twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import orjson
import pytest
from meetkai_mka1.utils import BackoffStrategy, RetryConfig
from tests.support.live import LiveServer
from tests.support.mka1 import Answer, Client, Mode, check_envelope, make_suite, qa_task
from tests.support.tenants import Tenants
from tests.support.waiting import eventually

RUNS = "/api/v1/llm/evals/runs"
SUITES = "/api/v1/llm/evals/suites"
FILES = "/api/v1/llm/files"

AT_ONCE = RetryConfig("backoff", BackoffStrategy(20, 20, 1.0, 15_000, jitter_ms=1), True)


@pytest.fixture
async def client(live: LiveServer, tenants: Tenants) -> AsyncIterator[Client]:
    async with Client(live.url, tenants.all_scopes, mode=Mode.ASYNC) as client:
        yield client


@pytest.fixture
async def run_body(client: Client) -> dict[str, Any]:
    """A run request for a suite of its own, so that its runs can be counted."""
    suite = await make_suite(client)
    return {"suite_id": suite.id, "models": ["openai/m"]}


async def count_runs(client: Client, body: dict[str, Any]) -> int:
    return len((await client.call("evals.list_runs", suite_id=body["suite_id"], limit=100)).data)


async def post(client: Client, path: str, body: Any, *, key: str | None = None) -> Answer:
    return await client.raw("POST", path, json=body, headers={} if key is None else {"Idempotency-Key": key})


class Gate:
    """Holds the insertion of runs, so that a request is caught between its claim and its commit."""

    def __init__(self, connection: asyncpg.Connection[Any], watcher: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self._watcher = watcher

    async def waiting(self) -> int:
        """Requests that are held up, at the gate or behind another."""
        return await self._watcher.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            " AND (query LIKE 'INSERT INTO runs%' OR query LIKE 'INSERT INTO remembered_requests%')"
        )

    async def open(self) -> None:
        """Let them through."""
        await self._connection.execute("COMMIT")


@pytest.fixture
async def gate(live: LiveServer, live_database_url: str) -> AsyncIterator[Gate]:
    async with _connected(live_database_url) as connection, _connected(live_database_url) as watcher:
        await connection.execute("BEGIN; LOCK TABLE runs IN SHARE MODE")
        yield Gate(connection, watcher)


@asynccontextmanager
async def _connected(url: str) -> AsyncGenerator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""), ssl=False)
    try:
        yield connection
    finally:
        await connection.close()


async def test_same_key_gives_the_first_answer(client: Client, run_body: dict[str, Any]) -> None:
    key = uuid4().hex

    first, second = [await post(client, RUNS, run_body, key=key) for _ in range(2)]

    assert (first.status, second.status) == (200, 200)
    assert first.content == second.content
    assert first.headers["content-type"] == second.headers["content-type"]
    assert await count_runs(client, run_body) == 1


async def test_same_key_with_another_body_is_refused(client: Client, run_body: dict[str, Any]) -> None:
    key = uuid4().hex
    await post(client, RUNS, run_body, key=key)

    answer = await post(client, RUNS, {**run_body, "concurrency": 2}, key=key)

    assert answer.status == 409
    assert check_envelope(answer)["details"]["code"] == "idempotency_key_reused"
    assert await count_runs(client, run_body) == 1


async def test_a_key_belongs_to_one_caller_and_path(
    client: Client, live: LiveServer, tenants: Tenants, run_body: dict[str, Any]
) -> None:
    key = uuid4().hex
    first = await post(client, RUNS, run_body, key=key)
    async with (
        Client(live.url, tenants.same_project, mode=Mode.ASYNC) as colleague,
        Client(live.url, tenants.other_project, mode=Mode.ASYNC) as stranger,
    ):
        second = await post(colleague, RUNS, run_body, key=key)
        other = await post(stranger, RUNS, run_body, key=key)

    run_id = first.json["id"]
    cancelled = await post(client, f"{RUNS}/{run_id}/cancel", None, key=key)
    assert (first.status, second.status) == (200, 200)
    assert first.json["id"] != second.json["id"]
    assert other.status == 404
    assert cancelled.status in {200, 409}
    assert await count_runs(client, run_body) == 2


async def test_a_key_belongs_to_one_end_user(live: LiveServer, tenants: Tenants) -> None:
    async with Client(live.url, tenants.delegating, mode=Mode.ASYNC) as client:
        file = await client.raw("POST", FILES, files={"file": ("a.txt", b"x")}, data={"purpose": "evals"})
        body = {"name": "s", "manifest": {"tasks": [qa_task(file.json["id"])]}}
        key = {"Idempotency-Key": uuid4().hex}
        direct = await client.raw("POST", SUITES, json=body, headers=key)
        delegated = await client.raw("POST", SUITES, json=body, headers={**key, "X-On-Behalf-Of": "ann"})

    assert direct.status == 200
    assert delegated.status == 400  # another's file: carried out anew rather than answered from memory


async def test_failures_are_not_remembered(client: Client, run_body: dict[str, Any]) -> None:
    key = uuid4().hex
    wrong = await post(client, RUNS, {**run_body, "models": []}, key=key)

    right = await post(client, RUNS, run_body, key=key)

    assert (wrong.status, right.status) == (400, 200)


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_bad_keys(client: Client, run_body: dict[str, Any], key: str) -> None:
    answer = await post(client, RUNS, run_body, key=key)

    assert answer.status == 400
    assert check_envelope(answer)["details"]["code"] == "invalid_idempotency_key"


async def test_parallel_with_a_key_make_one(client: Client, run_body: dict[str, Any]) -> None:
    key = uuid4().hex

    answers = await asyncio.gather(*(post(client, RUNS, run_body, key=key) for _ in range(8)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert await count_runs(client, run_body) == 1


async def test_parallel_without_a_key_make_as_many(client: Client, run_body: dict[str, Any]) -> None:
    answers = await asyncio.gather(*(post(client, RUNS, run_body) for _ in range(8)))

    assert [answer.status for answer in answers] == [200] * 8
    assert len({answer.json["id"] for answer in answers}) == 8


async def test_two_wishes_in_a_row_make_two(client: Client, run_body: dict[str, Any]) -> None:
    first, second = [await post(client, RUNS, run_body) for _ in range(2)]

    assert first.json["id"] != second.json["id"]
    assert await count_runs(client, run_body) == 2


async def test_a_client_that_hung_up_finds_its_run(
    client: Client, live: LiveServer, tenants: Tenants, gate: Gate, run_body: dict[str, Any]
) -> None:
    body = orjson.dumps(run_body)
    await _send_and_hang_up(live.url, tenants.all_scopes, body, gate)
    await gate.open()
    await eventually(lambda: _has_run(client, run_body))

    repeated = await _post_bytes(client, body)
    afresh = await _post_bytes(client, body)

    runs = (await client.call("evals.list_runs", suite_id=run_body["suite_id"])).data
    assert [run.id for run in runs] == [afresh.json["id"], repeated.json["id"]]


async def _has_run(client: Client, body: dict[str, Any]) -> bool:
    return await count_runs(client, body) == 1


async def _send_and_hang_up(url: str, token: str, body: bytes, gate: Gate) -> None:
    address = urlsplit(url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"POST {RUNS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await eventually(gate.waiting)
    writer.close()
    await writer.wait_closed()


async def _post_bytes(client: Client, body: bytes) -> Answer:
    answer = await client.raw("POST", RUNS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status == 200
    return answer


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("mode", list(Mode))
async def test_the_sdk_retries_and_finds_its_run(
    live: LiveServer, tenants: Tenants, gate: Gate, run_body: dict[str, Any], mode: Mode, attempts: int
) -> None:
    async with Client(live.url, tenants.all_scopes, mode=mode, timeout_seconds=1.0, retries=AT_ONCE) as impatient:
        asked = asyncio.ensure_future(impatient.call("evals.create_run", **run_body))
        # One more waits behind each attempt that was given up, until the gate opens.
        await eventually(lambda: _queued(gate, attempts + 1))
        await gate.open()
        run = await asked

        assert await count_runs(impatient, run_body) == 1
        again = await impatient.call("evals.create_run", **run_body)
    assert again.id != run.id


async def _queued(gate: Gate, number: int) -> bool:
    return await gate.waiting() >= number


async def test_a_body_that_breaks_off_does_nothing(
    client: Client, live: LiveServer, tenants: Tenants, run_body: dict[str, Any]
) -> None:
    address = urlsplit(live.url)
    body = orjson.dumps(run_body)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(
        f"POST {RUNS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenants.all_scopes}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body) + 1}\r\n\r\n".encode()
        + body
    )
    writer.write_eof()

    assert await reader.read() == b""
    writer.close()
    assert await count_runs(client, run_body) == 0


async def test_keyed_uploads(client: Client) -> None:
    async def send(content: bytes, key: str, name: str = "a.txt") -> Answer:
        return await client.raw(
            "POST",
            FILES,
            files={"file": (name, content)},
            data={"purpose": "user_data"},
            headers={"Idempotency-Key": key},
        )

    key = uuid4().hex
    first = await send(b"x" * 700_000, key)
    repeated = await send(b"x" * 700_000, key)
    other_content = await send(b"x" * 699_999 + b"y", key)
    other_name = await send(b"x" * 700_000, key, "b.txt")
    other_key = await send(b"x" * 700_000, uuid4().hex)

    assert (first.status, first.json["bytes"]) == (200, 700_000)
    assert repeated.content == first.content
    assert (other_content.status, other_name.status) == (409, 409)
    assert other_key.json["id"] != first.json["id"]


async def test_rerun_and_delete_without_a_body(client: Client, run_body: dict[str, Any]) -> None:
    run = (await post(client, RUNS, run_body)).json
    await client.finished(run["id"])
    key = uuid4().hex

    gone, repeated = [
        await client.raw("DELETE", f"{RUNS}/{run['id']}", headers={"Idempotency-Key": key}) for _ in range(2)
    ]
    afresh = await client.raw("DELETE", f"{RUNS}/{run['id']}")

    assert (gone.status, repeated.status, afresh.status) == (200, 200, 404)
    assert gone.content == repeated.content
