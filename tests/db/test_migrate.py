"""Migrations run from inside an event loop, one process at a time, up and down and up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from assay.db import migrate
from assay.db.engine import async_url
from assay.db.migrate import MigrationBusyError
from assay.kit.ids import new_id


async def execute(url: str, statement: str) -> None:
    engine = create_async_engine(async_url(url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture
async def empty_url(database_url: str) -> AsyncGenerator[str]:
    """URL of a database without tables."""
    name = f"migrate_{new_id().hex}"
    await execute(database_url, f"CREATE DATABASE {name}")
    yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
    await execute(database_url, f"DROP DATABASE {name} WITH (FORCE)")


def one_table() -> MetaData:
    metadata = MetaData()
    Table("first", metadata, Column("id", Integer, primary_key=True))
    return metadata


def two_tables() -> MetaData:
    metadata = one_table()
    Table("second", metadata, Column("id", Integer, primary_key=True), Column("name", String, nullable=False))
    return metadata


@pytest.fixture
async def history(empty_url: str, tmp_path: Path) -> Path:
    """A folder with two revisions, written by autogenerate; the database is put back to empty."""
    versions = tmp_path / "100% versions"
    versions.mkdir()
    for metadata, subject in ((one_table(), "first table"), (two_tables(), "second table")):
        path = await migrate.create_revision(empty_url, metadata, subject=subject, versions=versions)
        assert subject.replace(" ", "_") in path.name
        assert "lock_timeout" in path.read_text()
        await migrate.upgrade(empty_url, versions=versions)
    await migrate.downgrade(empty_url, "base", versions=versions)
    return versions


async def test_every_step_goes_up_down_and_up_again(empty_url: str, history: Path) -> None:
    assert await migrate.current(empty_url) is None
    await migrate.upgrade(empty_url, "+1", versions=history)
    first = await migrate.current(empty_url)
    assert await migrate.check(empty_url, one_table()) == []
    await migrate.upgrade(empty_url, versions=history)
    assert await migrate.current(empty_url) == migrate.head(versions=history)
    assert await migrate.check(empty_url, two_tables()) == []
    await migrate.downgrade(empty_url, "-1", versions=history)
    assert await migrate.current(empty_url) == first
    await migrate.upgrade(empty_url, versions=history)
    assert await migrate.check(empty_url, two_tables()) == []


async def test_drift_is_named(empty_url: str, history: Path) -> None:
    await migrate.upgrade(empty_url, versions=history)
    await execute(empty_url, "ALTER TABLE second DROP COLUMN name")
    differences = await migrate.check(empty_url, two_tables())
    assert len(differences) == 1
    assert "add_column" in differences[0]
    assert "name" in differences[0]


async def test_processes_that_start_together_migrate_once(empty_url: str, history: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(migrate.upgrade(empty_url, versions=history))
    assert await migrate.current(empty_url) == migrate.head(versions=history)


async def test_a_held_lock_is_waited_for_and_then_reported(empty_url: str, history: Path) -> None:
    engine = create_async_engine(async_url(empty_url))
    async with engine.connect() as holder:
        await holder.execute(text(f"SELECT pg_advisory_lock({migrate.LOCK_KEY})"))
        with pytest.raises(MigrationBusyError):
            await migrate.upgrade(empty_url, versions=history, lock_wait_seconds=0.2)
        waiting = asyncio.create_task(migrate.upgrade(empty_url, versions=history))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert done == set()
        assert await migrate.current(empty_url) is None
        await holder.execute(text(f"SELECT pg_advisory_unlock({migrate.LOCK_KEY})"))
        await waiting
    await engine.dispose()
    assert await migrate.current(empty_url) == migrate.head(versions=history)


async def test_a_failing_revision_leaves_the_database_at_the_one_before(empty_url: str, history: Path) -> None:
    broken = history / "broken.py"
    broken.write_text(
        "from alembic import op\n"
        "revision = 'broken'\n"
        f"down_revision = {migrate.head(versions=history)!r}\n"
        "def upgrade():\n    op.execute('CREATE TABLE half (id int)')\n    op.execute('SELECT nonsense')\n"
    )
    with pytest.raises(Exception, match="nonsense"):
        await migrate.upgrade(empty_url, versions=history)
    broken.unlink()
    assert await migrate.current(empty_url) == migrate.head(versions=history)
    assert await migrate.check(empty_url, two_tables()) == []
    await migrate.upgrade(empty_url, versions=history, lock_wait_seconds=1)


async def test_the_shipped_history_goes_up_down_and_up_again(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    assert await migrate.current(empty_url) == migrate.head()
    await migrate.downgrade(empty_url, "base")
    await migrate.upgrade(empty_url)
    assert await migrate.current(empty_url) == migrate.head()
