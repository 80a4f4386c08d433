"""Addresses of PostgreSQL in the forms in which people have them."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from assay.db.engine import async_url, open_engine


@pytest.mark.parametrize(
    "url",
    ["postgres://u:p@db/x", "postgresql://u:p@db/x", "postgresql+psycopg://u:p@db/x", "postgresql+asyncpg://u:p@db/x"],
)
def test_every_scheme_names_the_same_database(url: str) -> None:
    assert async_url(url).render_as_string(hide_password=False) == "postgresql+asyncpg://u:p@db/x"


def test_the_ssl_mode_of_libpq_is_understood() -> None:
    assert dict(async_url("postgresql://u@db/x?sslmode=verify-full").query) == {"ssl": "verify-full"}


async def test_a_server_without_tls_is_reached_or_refused_by_the_mode(database_url: str) -> None:
    plain = open_engine(f"{database_url}?sslmode=disable", pool_size=1)
    async with plain.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await plain.dispose()
    strict = open_engine(f"{database_url}?sslmode=require", pool_size=1)
    with pytest.raises(ConnectionError, match="SSL"):
        await strict.connect()
    await strict.dispose()
