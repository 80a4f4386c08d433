"""The part of the evaluation API that commands use.

Every POST carries an ``Idempotency-Key``, so that a request that got no answer can be sent again without making a
second object.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from assay.kit.errors import (
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidError,
    LimitError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)

EVALS = "/api/v1/llm/evals"
FILES = "/api/v1/llm/files"
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_RETRYABLE = frozenset({429, 500, 502, 503, 504})
_ATTEMPTS = 8
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_DOWNLOAD_CHUNK_BYTES = 256 * 1024

Json = dict[str, Any]
"""A JSON object of the API."""

_KIND_OF_STATUS: dict[int, type[DomainError]] = {
    400: InvalidError,
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: LimitError,
    422: InvalidError,
}


class ServerUnreachableError(UnavailableError):
    """Nobody answers at the server's address."""

    code = "server_unreachable"


class ApiClient:
    """Calls one server with one key."""

    def __init__(self, session: aiohttp.ClientSession, *, base_url: str) -> None:
        """Use a session that carries the key; see ``open_client``."""
        self._session = session
        self.base_url = base_url.rstrip("/")

    async def find_file(self, *, sha256: str, filename: str) -> Json | None:
        """An uploaded file of this content and name."""
        query = {"sha256": sha256, "purpose": "evals", "limit": "100"}
        found = await self._call("GET", FILES, query=query)
        return next((file for file in found["data"] if file["filename"] == filename), None)

    async def upload_file(self, path: Path) -> Json:
        """Upload a file for evaluations."""

        def form() -> aiohttp.FormData:
            # Built anew for each attempt: a body that was sent cannot be sent again.
            data = aiohttp.FormData()
            data.add_field("purpose", "evals")
            data.add_field("file", path.open("rb"), filename=path.name, content_type="application/octet-stream")
            return data

        return await self._call("POST", FILES, form=form)

    async def find_suite(self, name: str) -> Json | None:
        """The newest suite of this name that belongs to the caller."""
        after: str | None = None
        while True:
            query = {"limit": "100", "owned_only": "true", **({} if after is None else {"after": after})}
            page = await self._call("GET", f"{EVALS}/suites", query=query)
            for suite in page["data"]:
                if suite["name"] == name:
                    return suite
            if not page["has_more"]:
                return None
            after = page["last_id"]

    async def create_suite(self, *, name: str, manifest: Json) -> Json:
        """Make a suite; its version 1 is the manifest."""
        return await self._call("POST", f"{EVALS}/suites", body={"name": name, "manifest": manifest})

    async def get_version(self, suite_id: str, version: int) -> Json:
        """A version of a suite."""
        return await self._call("GET", f"{EVALS}/suites/{suite_id}/versions/{version}")

    async def create_version(self, suite_id: str, manifest: Json) -> Json:
        """Append a version, which becomes the active one."""
        return await self._call("POST", f"{EVALS}/suites/{suite_id}/versions", body={"manifest": manifest})

    async def create_run(self, body: Json) -> Json:
        """Queue a run."""
        return await self._call("POST", f"{EVALS}/runs", body=body)

    async def list_runs(self, *, limit: int, status: str | None = None) -> list[Json]:
        """The newest runs, 1 to 100."""
        query = {"limit": str(limit), **({} if status is None else {"status": status})}
        page = await self._call("GET", f"{EVALS}/runs", query=query)
        return page["data"]

    async def get_run(self, run_id: str) -> Json:
        """A run."""
        return await self._call("GET", f"{EVALS}/runs/{run_id}")

    async def get_overview(self, run_id: str) -> Json:
        """A run's counts and sums so far."""
        return await self._call("GET", f"{EVALS}/runs/{run_id}/overview")

    async def compare_runs(self, run_id: str, query: Mapping[str, str]) -> Json:
        """A run against its baseline, task by task."""
        return await self._call("GET", f"{EVALS}/runs/{run_id}/comparison", query=query)

    async def act_on_run(self, run_id: str, action: str) -> Json:
        """Do ``cancel``, ``retry`` or ``rerun-failed``."""
        return await self._call("POST", f"{EVALS}/runs/{run_id}/{action}")

    async def list_schedules(self, *, limit: int) -> list[Json]:
        """The newest schedules, 1 to 100."""
        return (await self._call("GET", f"{EVALS}/schedules", query={"limit": str(limit)}))["data"]

    async def get_schedule(self, schedule_id: str) -> Json:
        """A schedule."""
        return await self._call("GET", f"{EVALS}/schedules/{schedule_id}")

    async def list_schedule_history(self, schedule_id: str, *, limit: int) -> list[Json]:
        """The newest fires of a schedule, 1 to 100."""
        path = f"{EVALS}/schedules/{schedule_id}/history"
        return (await self._call("GET", path, query={"limit": str(limit)}))["data"]

    async def trigger_schedule(self, schedule_id: str) -> Json:
        """Fire a schedule at once."""
        return await self._call("POST", f"{EVALS}/schedules/{schedule_id}/trigger")

    async def enable_schedule(self, schedule_id: str, *, enabled: bool) -> Json:
        """Enable or disable a schedule."""
        return await self._call("PATCH", f"{EVALS}/schedules/{schedule_id}", body={"enabled": enabled})

    async def import_labels(self, file_id: str) -> Json:
        """Keep the labels of an uploaded file."""
        return await self._call("POST", f"{EVALS}/labels/import", body={"file_id": file_id})

    async def list_labels(self, query: Mapping[str, str]) -> list[Json]:
        """The newest labels, 1 to 500."""
        return (await self._call("GET", f"{EVALS}/labels", query=query))["data"]

    async def list_failed_samples(self, run_id: str, *, limit: int) -> list[Json]:
        """Some failed samples of a run."""
        query = {"status": "failed", "limit": str(limit), "include_dataset_row": "false"}
        page = await self._call("GET", f"{EVALS}/runs/{run_id}/samples", query=query)
        return page["data"]

    async def get_artifacts(self, run_id: str) -> Json:
        """Ids of the files that a run left."""
        return await self._call("GET", f"{EVALS}/runs/{run_id}/artifacts")

    async def list_deliveries(
        self, schedule_id: str, *, limit: int, status: str | None = None, run_id: str | None = None
    ) -> list[Json]:
        """The newest deliveries of a schedule's webhook, 1 to 100."""
        wanted = {"limit": str(limit), "status": status, "run_id": run_id}
        query = {name: value for name, value in wanted.items() if value is not None}
        page = await self._call("GET", f"{EVALS}/schedules/{schedule_id}/deliveries", query=query)
        return page["data"]

    async def redeliver(self, schedule_id: str, delivery_id: str) -> Json:
        """Have an event sent again."""
        return await self._call("POST", f"{EVALS}/schedules/{schedule_id}/deliveries/{delivery_id}/redeliver")

    async def download(self, file_id: str, target: Path) -> None:
        """Write a file's content to a path."""
        async with self._session.get(f"{self.base_url}{FILES}/{file_id}/content") as response:
            if response.status != 200:
                raise _error(response.status, await response.read())
            with target.open("wb") as file:
                async for chunk in response.content.iter_chunked(_DOWNLOAD_CHUNK_BYTES):
                    file.write(chunk)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        form: Any = None,
    ) -> Json:
        """One call, tried again while the server is away.

        Raises:
            DomainError: The server's own error, by its kind.
            ServerUnreachableError: No attempt got an answer.
        """
        headers = {"Idempotency-Key": uuid4().hex} if method == "POST" else {}
        pause = _FIRST_PAUSE_SECONDS
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            try:
                async with self._session.request(
                    method,
                    f"{self.base_url}{path}",
                    params=query,
                    json=body,
                    data=None if form is None else form(),
                    headers=headers,
                ) as response:
                    content = await response.read()
                    if response.status == 200:
                        return _object(content, self.base_url)
                    if last or response.status not in _RETRYABLE:
                        raise _error(response.status, content)
            except (aiohttp.ClientError, TimeoutError) as error:
                if last:
                    raise ServerUnreachableError(f"{self.base_url} does not answer: {error}") from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        raise AssertionError("the last attempt returns or raises")


@asynccontextmanager
async def open_client(base_url: str, api_key: str) -> AsyncGenerator[ApiClient]:
    """A client of one server."""
    headers = {"Authorization": f"Bearer {api_key}"}
    async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT, json_serialize=_dump) as session:
        yield ApiClient(session, base_url=base_url)


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()


def _object(content: bytes, base_url: str) -> Json:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ServerUnreachableError(f"{base_url} is no Assay server: its answer is not a JSON object.")
    return value  # pyright: ignore[reportUnknownVariableType] - any JSON object


def _error(status: int, content: bytes) -> DomainError:
    """The server's error as one of ours, so that it is explained and ends the command like any other."""
    message = f"The server answered with status {status}."
    param = None
    try:
        error = orjson.loads(content)["error"]
        message, param = str(error["message"]), error.get("param")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        pass
    kind = _KIND_OF_STATUS.get(status, UnavailableError)
    return kind(message, param=param)
