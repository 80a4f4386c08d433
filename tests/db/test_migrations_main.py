"""Assay's own migrations on a real database: up, down, up again, and never behind the declared tables."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import MetaData, make_url

import assay
from assay.db import migrate
from assay.db.base import Base

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncIterator[str]:
    name = f"migrations_{uuid4().hex}"
    await _run(postgres_url, f"CREATE DATABASE {name}")
    yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    await _run(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def declared() -> MetaData:
    """All tables of the package. They live with their features and register themselves when imported."""
    for module in pkgutil.walk_packages(assay.__path__, "assay."):
        if module.name.endswith(".models"):
            importlib.import_module(module.name)
    return Base.metadata


async def test_up_down_and_up_again(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    assert await migrate.current(empty_url) == migrate.head()
    first = await _tables(empty_url)
    assert set(first) == {*declared().tables, "alembic_version"}
    await migrate.downgrade(empty_url, "base")
    assert await _tables(empty_url) == ["alembic_version"]
    await migrate.upgrade(empty_url)
    assert await _tables(empty_url) == first
    assert await migrate.check(empty_url, declared()) == []


async def test_each_step_can_be_undone(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    steps = 0
    while await migrate.current(empty_url) is not None:
        await migrate.downgrade(empty_url, "-1")
        steps += 1
    assert steps >= 1
    for _ in range(steps):
        await migrate.upgrade(empty_url, "+1")
    assert await migrate.current(empty_url) == migrate.head()


async def test_declared_constraints_are_there(empty_url: str) -> None:
    """CHECK constraints, which the comparison of tables leaves out."""
    await migrate.upgrade(empty_url)
    connection = await asyncpg.connect(empty_url, ssl=False)
    try:
        rows = await connection.fetch("SELECT conname FROM pg_constraint WHERE contype = 'c'")
    finally:
        await connection.close()
    wanted = {
        str(constraint.name)
        for table in declared().tables.values()
        for constraint in table.constraints
        if type(constraint).__name__ == "CheckConstraint"
    }
    assert wanted <= {row["conname"] for row in rows}


async def _tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url, ssl=False)
    try:
        return [row["table_name"] for row in await connection.fetch(TABLES)]
    finally:
        await connection.close()


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, ssl=False)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
