"""Effects follow the transaction: run after its commit, dropped or undone otherwise."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from assay.db.engine import SessionFactory
from assay.db.session import after_commit, after_rollback, transaction


@pytest.fixture
async def table(engine: AsyncEngine) -> AsyncGenerator[str]:
    """A table whose constraint is only checked by the commit."""
    name = "session_test"
    async with engine.begin() as connection:
        await connection.execute(
            text(f"CREATE TABLE {name} (n int, CONSTRAINT u UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)")
        )
    yield name
    async with engine.begin() as connection:
        await connection.execute(text(f"DROP TABLE {name}"))


async def count_rows(sessions: SessionFactory, table: str) -> int:
    async with sessions() as session:
        return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def insert(session: AsyncSession, table: str) -> None:
    await session.execute(text(f"INSERT INTO {table} VALUES (1)"))


def recorder(calls: list[str], name: str) -> Callable[[], Awaitable[None]]:
    async def effect() -> None:
        calls.append(name)

    return effect


async def test_effects_run_in_order_and_see_the_committed_rows(sessions: SessionFactory, table: str) -> None:
    seen: list[int] = []

    async def look() -> None:
        seen.append(await count_rows(sessions, table))

    calls: list[str] = []
    async with transaction(sessions) as session:
        after_commit(session, recorder(calls, "first"))
        after_commit(session, look)
        after_commit(session, recorder(calls, "last"))
        after_rollback(session, recorder(calls, "undo"))
        await insert(session, table)
        assert calls == []
    assert calls == ["first", "last"]
    assert seen == [1]


async def test_a_failing_body_undoes_and_drops(sessions: SessionFactory, table: str) -> None:
    calls: list[str] = []

    async def run() -> None:
        async with transaction(sessions) as session:
            after_commit(session, recorder(calls, "effect"))
            after_rollback(session, recorder(calls, "undo"))
            await insert(session, table)
            raise RuntimeError("body")

    with pytest.raises(RuntimeError, match="body"):
        await run()
    assert calls == ["undo"]
    assert await count_rows(sessions, table) == 0


async def test_a_failing_commit_runs_neither_queue(sessions: SessionFactory, table: str) -> None:
    calls: list[str] = []

    async def run() -> None:
        async with transaction(sessions) as session:
            after_commit(session, recorder(calls, "effect"))
            after_rollback(session, recorder(calls, "undo"))
            await insert(session, table)
            await insert(session, table)

    with pytest.raises(DBAPIError):
        await run()
    assert calls == []
    assert await count_rows(sessions, table) == 0


async def test_a_failing_effect_stops_neither_the_caller_nor_the_next_effect(
    sessions: SessionFactory, table: str
) -> None:
    calls: list[str] = []

    async def fail() -> None:
        raise RuntimeError("effect")

    async with transaction(sessions) as session:
        await insert(session, table)
        after_commit(session, fail)
        after_commit(session, recorder(calls, "next"))
    assert calls == ["next"]
    assert await count_rows(sessions, table) == 1
