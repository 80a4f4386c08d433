"""The shared fixtures give what they promise."""

from __future__ import annotations

import asyncpg
import pytest
import temporalio.client
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.service import RPCError, RPCStatusCode

from assay.db.base import Base


async def test_assay_is_no_superuser(session: AsyncSession) -> None:
    answer = await session.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))
    assert answer.scalar_one() is False


@pytest.mark.parametrize("change", [{"username": "postgres"}, {"password": "guess"}], ids=["superuser", "password"])
async def test_nobody_else_may_log_in(postgres_url: str, change: dict[str, str]) -> None:
    url = make_url(postgres_url).set(**change)  # pyright: ignore[reportArgumentType] - both are plain text fields
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(url.render_as_string(hide_password=False), ssl=False)


async def test_a_fresh_database_has_the_tables(session: AsyncSession) -> None:
    found = await session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
    assert set(Base.metadata.tables) <= set(found.scalars())


@pytest.mark.parametrize("turn", ["first", "second"])
async def test_a_test_does_not_see_what_another_wrote(session: AsyncSession, turn: str) -> None:
    found = await session.execute(text("SELECT to_regclass('left_behind')"))
    assert found.scalar_one() is None, turn
    await session.execute(text("CREATE TABLE left_behind (id integer)"))
    await session.commit()


async def test_temporal_client_reaches_the_server(temporal_client: temporalio.client.Client) -> None:
    with pytest.raises(RPCError) as caught:
        await temporal_client.get_workflow_handle("never-started").describe()
    assert caught.value.status is RPCStatusCode.NOT_FOUND
