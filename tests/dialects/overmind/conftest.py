"""A plain HTTP client for the dialect, and agents to work with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

Connect = Callable[[str | None], "Caller"]


@dataclass(frozen=True, slots=True)
class Caller:
    """One key's requests."""

    http: httpx.AsyncClient

    async def send(self, method: str, path: str, body: Any = None, **arguments: Any) -> httpx.Response:
        """Send a request; gives the response, whatever it says."""
        if body is not None:
            arguments["json"] = body
        return await self.http.request(method, path if path.startswith("/api") else f"/api{path}", **arguments)

    async def ok(self, method: str, path: str, body: Any = None, *, status: int | None = None, **more: Any) -> Any:
        """Send a request that must succeed; gives its body."""
        response = await self.send(method, path, body, **more)
        assert response.status_code == (status or {"POST": 201, "DELETE": 204}.get(method, 200)), response.text
        return response.json() if response.content else None

    async def refused(self, status: int, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Send a request that must fail with this status; gives its body."""
        response = await self.send(method, path, body, **more)
        assert response.status_code == status, response.text
        return response.json()

    async def project(self) -> str:
        """The id of the key's project."""
        (project,) = (await self.ok("GET", "/projects/"))["results"]
        return project["id"]

    async def agent(self, **fields: Any) -> dict[str, Any]:
        """Make an agent."""
        slug = f"agent-{uuid4().hex[:12]}"
        return await self.ok(
            "POST", "/agents/", {"name": slug, "slug": slug, "project": await self.project(), **fields}
        )


@pytest.fixture
async def connect(live: LiveServer) -> AsyncIterator[Connect]:
    """Makes a client for a key; closed after the test."""
    async with AsyncExitStack() as stack:

        def make(token: str | None) -> Caller:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            http = httpx.AsyncClient(base_url=live.url, headers=headers, verify=False, timeout=10.0)
            stack.push_async_exit(http)
            return Caller(http)

        yield make


@pytest.fixture
def caller(connect: Connect, tenants: Tenants) -> Caller:
    """May do everything in another project than the one that other dialects' tests fill."""
    return connect(tenants.other_organization)


@pytest.fixture
def stranger(connect: Connect, tenants: Tenants) -> Caller:
    """May do everything in a project of another organization."""
    return connect(tenants.other_project)
