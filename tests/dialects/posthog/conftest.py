"""A plain HTTP client for the dialect: its REST resources have no published client of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.dialects.conftest import PROVIDER_HOST
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

Connect = Callable[[str | None], "Caller"]
ERROR_KEYS = {"type", "code", "detail", "attr"}


@dataclass(frozen=True, slots=True)
class Caller:
    """One key's requests, under one of the two prefixes."""

    http: httpx.AsyncClient
    prefix: str = "/api/environments/@current"

    async def send(self, method: str, path: str, body: Any = None, **arguments: Any) -> httpx.Response:
        """Send a request; gives the response, whatever it says."""
        if body is not None:
            arguments["json"] = body
        url = path if path.startswith("/api/") else f"{self.prefix}{path}"
        return await self.http.request(method, url, **arguments)

    async def ok(self, method: str, path: str, body: Any = None, **arguments: Any) -> Any:
        """Send a request that must succeed; gives its body."""
        response = await self.send(method, path, body, **arguments)
        assert response.status_code == (201 if method == "POST" else 200), response.text
        return response.json()

    async def refused(self, status: int, method: str, path: str, body: Any = None, **arguments: Any) -> dict[str, Any]:
        """Send a request that must fail with this status; gives the four keys."""
        response = await self.send(method, path, body, **arguments)
        assert response.status_code == status, response.text
        error = response.json()
        assert set(error) == ERROR_KEYS
        return error


@pytest.fixture
async def connect(live: LiveServer) -> AsyncIterator[Connect]:
    """Makes a client for a key; closed after the test."""
    async with AsyncExitStack() as stack:

        def make(token: str | None) -> Caller:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            http = httpx.AsyncClient(base_url=live.url, headers=headers, verify=False, timeout=30.0)
            stack.push_async_exit(http)
            return Caller(http)

        yield make


@pytest.fixture
def caller(connect: Connect, tenants: Tenants) -> Caller:
    """May do everything in the first project."""
    return connect(tenants.all_scopes)


@pytest.fixture(scope="session")
def provider_url(live: LiveServer) -> str:
    """Base URL of the mock provider, as a user would give it."""
    return live.models.url.replace("127.0.0.1", PROVIDER_HOST)


@pytest.fixture
def stranger(connect: Connect, tenants: Tenants) -> Caller:
    """May do everything in another project of the same organization."""
    return connect(tenants.other_project)


@pytest.fixture(scope="module", autouse=True)
async def _no_evaluator_outlives_its_file(live: LiveServer, tenants: Tenants) -> AsyncIterator[None]:
    """An enabled one would judge the events of every file that follows."""
    yield
    headers = {"Authorization": f"Bearer {tenants.all_scopes}"}
    async with httpx.AsyncClient(base_url=live.url, headers=headers, verify=False, timeout=30.0) as http:
        evaluations = "/api/environments/@current/evaluations/"
        for found in (await http.get(evaluations, params={"enabled": "true", "limit": "1000"})).json()["results"]:
            disabled = await http.patch(f"{evaluations}{found['id']}/", json={"enabled": False})
            assert disabled.status_code == 200, disabled.text
