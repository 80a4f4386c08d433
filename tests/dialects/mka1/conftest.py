"""The SDK against the live server, by both its halves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.support.live import LiveServer
from tests.support.mka1 import Client, Mode, make_suite
from tests.support.tenants import Tenants

Connect = Callable[..., Client]


@pytest.fixture(params=list(Mode))
def mode(request: pytest.FixtureRequest) -> Mode:
    """Both halves of the SDK in turn."""
    return request.param


@pytest.fixture
async def connect(live: LiveServer, mode: Mode) -> AsyncIterator[Connect]:
    """Makes a client for a key; closed after the test."""
    async with AsyncExitStack() as stack:

        def make(token: str | None, *, on_behalf_of: str | None = None) -> Client:
            client = Client(live.url, token, mode=mode, on_behalf_of=on_behalf_of)
            stack.push_async_exit(client)
            return client

        yield make


@pytest.fixture
def client(connect: Connect, tenants: Tenants) -> Client:
    """A client that may do everything in the first project."""
    return connect(tenants.all_scopes)


@pytest.fixture
async def prober(live: LiveServer, tenants: Tenants) -> AsyncIterator[Client]:
    """The same, for tests of requests that the SDK would not send: once, not once for each half."""
    async with Client(live.url, tenants.all_scopes, mode=Mode.ASYNC) as client:
        yield client


@pytest.fixture(params=["other_project", "other_organization"])
def outsider(request: pytest.FixtureRequest, connect: Connect, tenants: Tenants) -> Client:
    """A client that may do everything elsewhere."""
    return connect(getattr(tenants, request.param))


@pytest.fixture(scope="session")
async def completed(live: LiveServer, tenants: Tenants) -> Any:
    """A completed run of three samples, to be read and left as it is."""
    async with Client(live.url, tenants.all_scopes, mode=Mode.ASYNC) as client:
        suite = await make_suite(client)
        run = await client.call("evals.create_run", suite_id=suite.id, models=["openai/m"])
        return await client.finished(run.id)
