"""How a command that soon ends finds the database: configured, of the running Assay on this home, or its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from assay.db import migrate
from assay.db.engine import SessionFactory, open_engine, session_factory
from assay.db.session import transaction
from assay.embedded.errors import HomeInUseError, ServiceFailedError
from assay.embedded.home import AssayHome
from assay.embedded.postgres import EmbeddedPostgres
from assay.embedded.services import EmbeddedServices
from assay.kit.errors import ConflictError
from assay.settings import Settings

_ANSWER_SECONDS = 15.0


class NotMigratedError(ConflictError):
    """The database's schema is not the one of this version."""

    code = "not_migrated"


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database, open."""

    url: str
    sessions: SessionFactory


async def require_migrated(url: str) -> None:
    """Refuse a database with another schema.

    Raises:
        NotMigratedError: Its revision is not the newest; the message says what to do.
    """
    current, head = await migrate.current(url), migrate.head()
    if current != head:
        raise NotMigratedError(
            f"the database is at revision {current or 'none'}, this version of Assay needs {head}. "
            "Run `assay migrate`.",
            data={"current": current, "head": head},
        )


def known_secret_key(settings: Settings, home: AssayHome) -> str | None:
    """The key that opens stored secrets, as configured or in the home; None when there is none yet.

    Unlike ``find_secret_key`` this makes none: one made here would not be the one that other machines use.
    """
    if settings.core.secret_key is not None:
        return settings.core.secret_key.get_secret_value()
    return home.ensure_secret_key() if home.secret_key_file.exists() else None


@asynccontextmanager
async def database_address(settings: Settings) -> AsyncGenerator[str]:
    """The address of the database; one of our own is started for the block when nobody else runs it.

    Raises:
        ServiceFailedError: The embedded one does not start, or the process that runs it does not let us in.
    """
    if settings.database.url is not None:
        yield settings.database.url.get_secret_value()
        return
    home = AssayHome(settings.core.home)
    services = EmbeddedServices(home, postgres=True, temporal=False)
    try:
        await services.start()
    except HomeInUseError as in_use:
        yield await _running_address(home, in_use)
        return
    try:
        yield services.database_url or ""
    finally:
        await services.stop()


async def _running_address(home: AssayHome, in_use: HomeInUseError) -> str:
    running = EmbeddedPostgres.running_in(home)
    if running is None:
        raise in_use
    try:
        await running.wait_ready(_ANSWER_SECONDS)
    except ServiceFailedError as exc:
        raise ServiceFailedError(
            f"{in_use.message} Its database does not answer either: {exc.message}", data=in_use.data
        ) from exc
    return running.address


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncGenerator[Database]:
    """The database, brought up to date if it is our own.

    Raises:
        NotMigratedError: A configured database is not at this version's schema.
        ServiceFailedError: See ``database_address``.
    """
    async with database_address(settings) as url:
        if settings.database.url is None:
            await migrate.upgrade(url)
        else:
            await require_migrated(url)
        engine = open_engine(url, pool_size=1, application="assay command")
        try:
            yield Database(url, session_factory(engine))
        finally:
            await engine.dispose()


@asynccontextmanager
async def open_transaction(settings: Settings) -> AsyncGenerator[AsyncSession]:
    """One transaction on the database, committed at the end of the block."""
    async with open_database(settings) as database, transaction(database.sessions) as session:
        yield session
