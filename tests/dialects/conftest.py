"""One live server for all dialects, with two organizations on it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url
from tests.support.live import LiveServer
from tests.support.tenants import Tenants, make_tenants

from assay.runtime import Addresses
from assay.settings import OutboundSettings

MAX_FILE_BYTES = 11 * 1024 * 1024
PROVIDER_HOST = "localhost"
"""Name by which the mock provider may be called as if it were a stranger's."""


@pytest.fixture(scope="session")
async def live_database_url(postgres_url: str, template_database: str) -> str:
    """A database of the live server's own, gone with the session's PostgreSQL."""
    connection = await asyncpg.connect(postgres_url, ssl=False)
    try:
        await connection.execute(f"CREATE DATABASE live TEMPLATE {template_database} STRATEGY FILE_COPY")
    finally:
        await connection.close()
    return make_url(postgres_url).set(database="live").render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def live(live_database_url: str, temporal_address: str) -> Iterator[LiveServer]:
    """The server. Its mock provider's behaviour is shared: put back what you change."""
    with (
        tempfile.TemporaryDirectory(prefix="assay-live-") as folder,
        LiveServer(
            Addresses(live_database_url, temporal_address),
            folder=Path(folder),
            task_queue="live",
            max_file_bytes=MAX_FILE_BYTES,
            outbound=OutboundSettings(allow_hosts=(PROVIDER_HOST,)),
        ) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def tenants(live: LiveServer) -> Tenants:
    """Keys of every kind."""
    return live.call(make_tenants(live.runtime.sessions))
