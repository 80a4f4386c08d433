"""Moving a database along the schema's history, from inside a running program.

Several processes may start at once on one database. The first to get the advisory lock migrates; the others wait, then
find nothing to do. They wait by trying again rather than inside ``pg_advisory_lock``, because a waiting statement
holds a snapshot, and ``CREATE INDEX CONCURRENTLY`` in the migrating process would wait for that snapshot for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from assay.db.engine import async_url
from assay.kit.errors import UnavailableError

LOCK_KEY = 0x4153534159  # "ASSAY"; any number that no other program uses in this database
LOCK_WAIT_SECONDS = 300.0
_LOCK_POLL_SECONDS = 0.1


class MigrationBusyError(UnavailableError):
    """Another process has been migrating the same database for too long."""

    code = "migration_busy"

    def __init__(self, waited_seconds: float) -> None:
        super().__init__(
            f"Another process has held the migration lock of this database for {waited_seconds:g} s. "
            "Wait for it, or end it if it hangs (its query is in pg_stat_activity), then start again.",
            data={"waited_seconds": waited_seconds},
        )


async def upgrade(
    url: str,
    target: str = "head",
    *,
    versions: Path | None = None,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
) -> None:
    """Bring the database up to a revision; does nothing when it is there.

    Args:
        url: ``postgresql://…`` of a role that owns the schema.
        target: Revision id, or ``head``.
        versions: Folder of revisions; None for Assay's own.
        lock_wait_seconds: How long to wait for another process that is migrating.

    Raises:
        MigrationBusyError: The other process took longer.
    """
    config = _config(versions)
    async with _engine(url) as engine, _migration_lock(engine, lock_wait_seconds):
        await _run(engine, config, lambda: command.upgrade(config, target))


async def downgrade(
    url: str,
    target: str,
    *,
    versions: Path | None = None,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
) -> None:
    """Bring the database down to a revision, losing what only newer ones can hold.

    Args:
        url: ``postgresql://…`` of a role that owns the schema.
        target: Revision id, ``-1`` for one step, or ``base`` for an empty database.
        versions: Folder of revisions; None for Assay's own.
        lock_wait_seconds: How long to wait for another process that is migrating.

    Raises:
        MigrationBusyError: The other process took longer.
    """
    config = _config(versions)
    async with _engine(url) as engine, _migration_lock(engine, lock_wait_seconds):
        await _run(engine, config, lambda: command.downgrade(config, target))


async def current(url: str) -> str | None:
    """The revision the database is at; None for one that was never migrated."""

    def read(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with _engine(url) as engine, engine.connect() as connection:
        return await connection.run_sync(read)


def head(*, versions: Path | None = None) -> str | None:
    """The newest revision there is; None when there are none."""
    return ScriptDirectory.from_config(_config(versions)).get_current_head()


async def check(url: str, metadata: MetaData) -> list[str]:
    """How the database differs from the tables the program declares, one line each; empty when it does not.

    CHECK constraints are not compared.
    """

    def compare(connection: Connection) -> list[str]:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return [str(difference) for difference in compare_metadata(context, metadata)]

    async with _engine(url) as engine, engine.connect() as connection:
        return await connection.run_sync(compare)


async def create_revision(url: str, metadata: MetaData, *, subject: str, versions: Path | None = None) -> Path:
    """Write the revision that brings the database at ``url``, now at head, to the declared tables.

    Args:
        url: A development database at head.
        metadata: The declared tables.
        subject: A few words; they and the date name the file.
        versions: Folder to write to; None for Assay's own, which needs a checkout.

    Returns:
        Path of the new file, to be read and corrected by its author.
    """
    config = _config(versions, metadata)
    slug = "_".join(subject.lower().split())
    config.set_main_option("file_template", f"{datetime.now(UTC):%Y_%m_%d}_{slug}")
    made: list[Any] = []
    async with _engine(url) as engine:
        await _run(engine, config, lambda: made.append(command.revision(config, subject, autogenerate=True)))
    return Path(made[0].path)


def _config(versions: Path | None, metadata: MetaData | None = None) -> Config:
    scripts = Path(str(files("assay.db.migrations")))
    config = Config()
    config.set_main_option("script_location", _escaped(scripts))
    config.set_main_option("version_locations", _escaped(versions or scripts / "versions"))
    config.set_main_option("path_separator", "newline")
    config.attributes["metadata"] = metadata
    return config


def _escaped(path: Path) -> str:
    """The path for Alembic's options, in which ``%`` starts an interpolation."""
    return str(path).replace("%", "%%")


@asynccontextmanager
async def _engine(url: str) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine(
        async_url(url), poolclass=NullPool, connect_args={"server_settings": {"application_name": "assay migrate"}}
    )
    try:
        yield engine
    finally:
        await engine.dispose()


async def _run(engine: AsyncEngine, config: Config, step: Callable[[], object]) -> None:
    """Run an Alembic command on a connection of ours, so that it needs no event loop of its own."""

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        step()

    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()


@asynccontextmanager
async def _migration_lock(engine: AsyncEngine, wait_seconds: float) -> AsyncGenerator[None]:
    """Hold the lock on a connection of its own: a session's lock ends with it, also when the process dies."""
    async with engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while not await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}):
            if asyncio.get_running_loop().time() >= deadline:
                raise MigrationBusyError(wait_seconds)
            await asyncio.sleep(_LOCK_POLL_SECONDS)
        try:
            yield
        finally:
            await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
