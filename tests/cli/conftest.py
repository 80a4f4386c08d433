"""One ``assay serve`` for the tests that only look at it, and clients of its API."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from sqlalchemy import make_url
from tests.support.assay_process import AssayProcess, running_assay


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home. Its parent takes the logs, so that they outlive a home that is looked at."""
    with tempfile.TemporaryDirectory(prefix="assay-cli-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        yield home


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[AssayProcess]:
    """A running ``assay serve``, shared by a module."""
    with tempfile.TemporaryDirectory(prefix="assay-cli-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        async with running_assay("serve", "--port", "0", "--json", home=home) as process:
            yield process


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client; each request has a connection of its own, since servers come and go here."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
async def bare_database_url(postgres_url: str) -> AsyncIterator[str]:
    """Address of a database without any table."""
    connection = await asyncpg.connect(postgres_url, ssl=False)
    try:
        await connection.execute("CREATE DATABASE cli_bare")
        yield make_url(postgres_url).set(database="cli_bare").render_as_string(hide_password=False)
        await connection.execute("DROP DATABASE cli_bare WITH (FORCE)")
    finally:
        await connection.close()
