"""How a command that soon ends finds the services: configured, run by another Assay on this home, or by itself."""

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
from assay.embedded.temporal import EmbeddedTemporal
from assay.kit.errors import ConflictError
from assay.settings import Settings

_ANSWER_SECONDS = 15.0


class NotMigratedError(ConflictError):
    """The database's schema is not the one of this version."""

    code = "not_migrated"


@dataclass(frozen=True, slots=True)
class Services:
    """Where the services are, and who runs the embedded ones."""

    database_url: str
    temporal_address: str | None
    """None when it was not asked for."""
    holder: HomeInUseError | None = None
    """The other Assay that runs on this home."""


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
async def open_services(settings: Settings, *, temporal: bool = False) -> AsyncGenerator[Services]:
    """The services; embedded ones that nobody runs are started for the block.

    Args:
        settings: What is configured.
        temporal: Whether Temporal is needed too.

    Raises:
        HomeInUseError: Another Assay runs on this home, with other services than those needed.
        ServiceFailedError: An embedded one does not start, or that of the other Assay does not answer.
    """
    wants_postgres = settings.database.url is None
    wants_temporal = temporal and settings.temporal.address is None
    home = AssayHome(settings.core.home)
    if not (wants_postgres or wants_temporal):
        yield _services(settings, None, None)
        return
    own = EmbeddedServices(
        home, postgres=wants_postgres, temporal=wants_temporal, namespace=settings.temporal.namespace
    )
    try:
        await own.start()
    except HomeInUseError as holder:
        database_url = await _running_postgres(home, holder) if wants_postgres else None
        temporal_address = await _running_temporal(settings, home, holder) if wants_temporal else None
        yield _services(settings, database_url, temporal_address, holder=holder)
        return
    try:
        yield _services(settings, own.database_url, own.temporal_address)
    finally:
        await own.stop()


def _services(
    settings: Settings, database_url: str | None, temporal_address: str | None, *, holder: HomeInUseError | None = None
) -> Services:
    configured = settings.database.url
    return Services(
        database_url=configured.get_secret_value() if configured is not None else database_url or "",
        temporal_address=settings.temporal.address or temporal_address,
        holder=holder,
    )


async def _running_postgres(home: AssayHome, holder: HomeInUseError) -> str:
    return await _answering(EmbeddedPostgres.running_in(home), holder)


async def _running_temporal(settings: Settings, home: AssayHome, holder: HomeInUseError) -> str:
    return await _answering(EmbeddedTemporal.running_in(home, namespace=settings.temporal.namespace), holder)


async def _answering(running: EmbeddedPostgres | EmbeddedTemporal | None, holder: HomeInUseError) -> str:
    if running is None:
        raise holder
    try:
        await running.wait_ready(_ANSWER_SECONDS)
    except ServiceFailedError as exc:
        raise ServiceFailedError(f"{holder.message} What it runs does not answer: {exc.message}") from exc
    return running.address


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncGenerator[Database]:
    """The database, brought up to date if it is our own.

    Raises:
        NotMigratedError: A configured database is not at this version's schema.
        ServiceFailedError: See ``open_services``.
    """
    async with open_services(settings) as services:
        if settings.database.url is None:
            await migrate.upgrade(services.database_url)
        else:
            await require_migrated(services.database_url)
        engine = open_engine(services.database_url, pool_size=1, application="assay command")
        try:
            yield Database(services.database_url, session_factory(engine))
        finally:
            await engine.dispose()


@asynccontextmanager
async def open_transaction(settings: Settings) -> AsyncGenerator[AsyncSession]:
    """One transaction on the database, committed at the end of the block."""
    async with open_database(settings) as database, transaction(database.sessions) as session:
        yield session
