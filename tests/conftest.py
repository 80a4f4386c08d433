"""Real services for every test, started only when one asks.

One PostgreSQL and one Temporal per test session, in a temporary home. Each test that wants a database gets a fresh
one, cloned from a template that holds all tables: a file copy of some milliseconds instead of DDL.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import temporalio.client
from hypothesis import HealthCheck, settings
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from assay.db import migrate
from assay.db.engine import SessionFactory, open_engine, session_factory
from assay.embedded.home import AssayHome
from assay.embedded.postgres import EmbeddedPostgres
from assay.embedded.temporal import EmbeddedTemporal

TEMPLATE = "assay_template"

# The data of a test session need not survive the machine.
_FAST_AND_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_database_numbers = itertools.count(1)

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("assay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("assay")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for the whole suite, each with services of its own; none for a part, which is under way sooner."""
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return 2 if is_whole and not config.getoption("usepdb") else 0


@pytest.fixture(scope="session")
def session_home() -> Iterator[AssayHome]:
    """Home of this session's services. Not under pytest's own folder, which is kept after the session."""
    with tempfile.TemporaryDirectory(prefix="assay-tests-") as folder:
        home = AssayHome(Path(folder))
        home.prepare()
        yield home


@pytest.fixture(scope="session")
async def postgres_url(session_home: AssayHome) -> AsyncIterator[str]:
    """Address of this session's PostgreSQL; its role may create databases."""
    server = EmbeddedPostgres(session_home, settings=_FAST_AND_FORGETFUL)
    yield await server.start()
    await server.stop()


@pytest.fixture(scope="session")
async def template_database(postgres_url: str) -> str:
    """Name of a database that holds all tables and no rows."""
    await _execute(postgres_url, f"CREATE DATABASE {TEMPLATE}")
    await make_tables(_with_database(postgres_url, TEMPLATE))
    return TEMPLATE


@pytest.fixture
async def database_url(postgres_url: str, template_database: str) -> AsyncIterator[str]:
    """Address of an empty database with all tables, for one test alone."""
    name = f"test_{next(_database_numbers)}"
    await _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
    yield _with_database(postgres_url, name)
    await _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the test's database."""
    engine = open_engine(database_url, pool_size=8)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> SessionFactory:
    """Makes sessions on the test's database."""
    return session_factory(engine)


@pytest.fixture
async def session(sessions: SessionFactory) -> AsyncIterator[AsyncSession]:
    """One session; what the test does not commit is rolled back."""
    async with sessions() as session:
        yield session


@pytest.fixture(scope="session")
async def temporal_address(session_home: AssayHome) -> AsyncIterator[str]:
    """``host:port`` of this session's Temporal. Tests share it: use a task queue of your own."""
    server = EmbeddedTemporal(session_home)
    yield await server.start()
    await server.stop()


@pytest.fixture(scope="session")
async def temporal_client(temporal_address: str) -> temporalio.client.Client:
    """A client of this session's Temporal, namespace ``default``."""
    return await temporalio.client.Client.connect(temporal_address)


async def make_tables(url: str) -> None:
    """Create all tables of the package in an empty database."""
    await migrate.upgrade(url)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, ssl=False)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
