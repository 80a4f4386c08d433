"""The published ``meetkai-mka1`` SDK, unmodified, with eyes on the wire: every raw answer is checked too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self, cast

import httpx
import orjson
import pydantic
import pytest
from meetkai_mka1 import SDK, errors
from meetkai_mka1.types import UNSET
from meetkai_mka1.utils import RetryConfig

ECHOED = frozenset({"tools", "text", "reasoning", "definition", "schedule", "context_management"})
"""What comes back as it was sent, so without the keys that were left out."""
TERMINAL = frozenset({"completed", "failed", "cancelled"})

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "limit_error",
    503: "unavailable_error",
}


class Mode(StrEnum):
    """Which half of the SDK."""

    SYNC = "sync"
    ASYNC = "async"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return orjson.loads(self.content)


class Client:
    """One key's SDK. ``call`` and ``refused`` go through the half that the mode names."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        mode: Mode,
        timeout_seconds: float = 5.0,
        on_behalf_of: str | None = None,
        retries: RetryConfig | None = None,
    ) -> None:
        self.mode = mode
        self.answers: list[Answer] = []
        self._url = url
        self._token = token
        self._on_behalf_of = on_behalf_of
        self._stack = AsyncExitStack()
        # Loading the certificates of the world takes longer than a request, and loopback has no use for them.
        self._http = httpx.Client(verify=False, timeout=timeout_seconds, event_hooks={"response": [self._note]})
        self._async_http = httpx.AsyncClient(
            verify=False, timeout=timeout_seconds, event_hooks={"response": [self._note_async]}
        )
        self._sdk = SDK(
            bearer_auth=token,
            server_url=url,
            client=self._http,
            async_client=self._async_http,
            retry_config=UNSET if retries is None else retries,
        )

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._async_http.aclose)
        self._stack.callback(self._http.close)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def last(self) -> Answer:
        """The newest answer."""
        return self.answers[-1]

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Call an operation such as ``evals.create_run``, and check its answer key for key."""
        result = await self._invoke(operation, arguments)
        if isinstance(result, pydantic.BaseModel):
            assert_exact(result, self.last.json)
        return result

    async def ask(self, operation: str, **arguments: Any) -> Any:
        """Call an operation whose answers may leave keys out: the SDK's own validation is the check."""
        return await self._invoke(operation, arguments)

    async def refused(self, status: int, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call an operation that must fail with this status; gives the ``error`` object."""
        with pytest.raises(errors.SDKError) as caught:
            await self._invoke(operation, arguments)
        assert caught.value.status_code == status, caught.value.body
        return check_envelope(self.last)

    async def raw(self, method: str, path: str, **arguments: Any) -> Answer:
        """A request that the SDK would not send."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token is not None else {}
        headers |= arguments.pop("headers", {})
        response = await self._async_http.request(method, self._url + path, headers=headers, **arguments)
        return _answer(response)

    async def finished(self, run_id: str, *, timeout_seconds: float = 20.0) -> Any:
        """The run, once it has ended."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                run = await self.call("evals.get_run", run_id=run_id)
                if run.status in TERMINAL:
                    return run
                await asyncio.sleep(0.02)

    async def _invoke(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        if self._on_behalf_of is not None:
            arguments = {"x_on_behalf_of": self._on_behalf_of, **arguments}
        group, name = operation.split(".")
        namespace = getattr(self._sdk.llm, group, None) or getattr(self._sdk, group)
        if self.mode is Mode.SYNC:
            return await asyncio.to_thread(getattr(namespace, name), **arguments)
        return await getattr(namespace, f"{name}_async")(**arguments)

    def _note(self, response: httpx.Response) -> None:
        response.read()
        self.answers.append(_answer(response))

    async def _note_async(self, response: httpx.Response) -> None:
        await response.aread()
        self.answers.append(_answer(response))


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.content)


def assert_exact(model: pydantic.BaseModel, raw: Any, path: str = "") -> None:
    """The raw object has the keys that the SDK's model declares, no more and no fewer, at every depth (M§1.6)."""
    raw = cast("dict[str, Any]", raw)
    fields = {field.alias or name: getattr(model, name) for name, field in type(model).model_fields.items()}
    if model.model_config.get("extra") == "allow":
        assert all(value is None for key, value in fields.items() if key not in raw)
        return
    assert set(raw) == set(fields), f"{path or type(model).__name__}: {set(raw) ^ set(fields)}"
    for key, value in fields.items():
        if key not in ECHOED:
            _assert_part(value, raw[key], f"{path}.{key}")


def _assert_part(value: Any, raw: Any, path: str) -> None:
    if isinstance(value, pydantic.BaseModel):
        assert_exact(value, raw, path)
    elif isinstance(value, list):
        for index, (item, raw_item) in enumerate(zip(cast("list[Any]", value), raw, strict=True)):
            _assert_part(item, raw_item, f"{path}[{index}]")
    elif isinstance(value, datetime):
        assert raw.endswith("Z"), path
    elif path.endswith("_at"):
        assert raw is None or type(raw) is int, path


def check_envelope(answer: Answer) -> dict[str, Any]:
    """The body is the one error envelope (M§7 R1), with the type that belongs to the status; gives ``error``."""
    assert answer.headers["content-type"] == "application/json", answer
    body = answer.json
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code", "details"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["code"] is None
    assert error["param"] is None or isinstance(error["param"], str)
    assert error["type"] == ERROR_TYPES[answer.status], answer
    return error


def jsonl(*rows: Mapping[str, Any]) -> bytes:
    """Rows as a dataset file."""
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def questions(count: int) -> list[dict[str, Any]]:
    """Rows that the mock provider answers right."""
    return [{"question": f"q{n} answer=a{n}", "answer": f"a{n}"} for n in range(count)]


def qa_task(file_id: str, **fields: Any) -> dict[str, Any]:
    """A question answering task on a file with ``question`` and ``answer``."""
    return {"id": "qa", "type": "qa", "dataset": {"file_id": file_id}, **fields}


async def upload(client: Client, content: bytes, *, name: str = "data.jsonl", purpose: str = "evals") -> Any:
    """Upload a file."""
    return await client.call("files.upload", file={"file_name": name, "content": content}, purpose=purpose)


async def make_suite(client: Client, rows: list[dict[str, Any]] | None = None, **task_fields: Any) -> Any:
    """A suite of one question answering task."""
    file = await upload(client, jsonl(*(questions(3) if rows is None else rows)))
    return await client.call("evals.create_suite", name="suite", manifest={"tasks": [qa_task(file.id, **task_fields)]})
