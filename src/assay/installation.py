"""One installation of Assay: its services, embedded or external, migrated and with a first key.

settings ──► embedded PostgreSQL and Temporal, where no address is configured
         ──► migrations ──► first organization, project and key ──► credentials.json
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from assay.core.projects.service import bootstrap
from assay.core.projects.types import Credentials as IssuedCredentials
from assay.db import migrate
from assay.db.engine import open_engine, session_factory
from assay.db.session import transaction
from assay.embedded.home import AssayHome, Credentials
from assay.embedded.services import EmbeddedServices
from assay.kit.errors import InvalidError
from assay.runtime import Addresses
from assay.settings import Settings


class MissingSettingError(InvalidError):
    """A role that starts nothing itself was not told where a service is."""

    code = "missing_setting"


@dataclass(frozen=True, slots=True)
class Installation:
    """A ready installation."""

    addresses: Addresses
    home: AssayHome
    secret_key: str
    services: EmbeddedServices | None
    """None when everything is external."""

    async def wait_failed(self) -> None:
        """Wait until an embedded service has been given up; never returns otherwise.

        Raises:
            ServiceFailedError: A service keeps dying; the message holds the end of its log.
        """
        if self.services is None:
            await asyncio.Event().wait()
        else:
            await self.services.wait_failed()


@asynccontextmanager
async def open_installation(settings: Settings) -> AsyncGenerator[Installation]:
    """Start what is not configured and bring the database up to date.

    Raises:
        HomeInUseError: Another process runs services on the same home.
        ServiceFailedError: An embedded service does not start.
    """
    home = AssayHome(settings.core.home)
    home.prepare()
    wants_postgres = settings.database.url is None
    wants_temporal = settings.temporal.address is None
    async with AsyncExitStack() as stack:
        services = None
        if wants_postgres or wants_temporal:
            services = await stack.enter_async_context(
                EmbeddedServices(
                    home, postgres=wants_postgres, temporal=wants_temporal, namespace=settings.temporal.namespace
                )
            )
        addresses = _addresses(settings, services)
        await migrate.upgrade(addresses.database_url)
        yield Installation(addresses, home, find_secret_key(settings, home), services)


def external_addresses(settings: Settings) -> Addresses:
    """Where the services are, for roles that start none.

    Raises:
        MissingSettingError: One of them is not configured; the message names the variable.
    """
    return _addresses(settings, None)


def find_secret_key(settings: Settings, home: AssayHome) -> str:
    """The key that opens stored secrets: as configured, else the home's own, made on first use."""
    configured = settings.core.secret_key
    return home.ensure_secret_key() if configured is None else configured.get_secret_value()


async def ensure_credentials(settings: Settings, installation: Installation, *, base_url: str) -> Credentials:
    """Make the first organization, project and key where there are none, and write ``credentials.json``.

    The key itself is in the result and in the file when it was made now, preset, or written there before; otherwise it
    is an empty text, because only its digest is stored.

    Raises:
        InvalidError: ``ASSAY_BOOTSTRAP_API_KEY`` is shorter than 20 characters.
    """
    preset = settings.core.bootstrap_api_key
    engine = open_engine(installation.addresses.database_url, pool_size=1)
    try:
        async with transaction(session_factory(engine)) as session:
            issued = await bootstrap(session, api_key=None if preset is None else preset.get_secret_value())
    finally:
        await engine.dispose()
    credentials = _credentials(issued, installation.home.read_credentials(), base_url=base_url)
    installation.home.write_credentials(credentials)
    return credentials


def _credentials(issued: IssuedCredentials, written: Credentials | None, *, base_url: str) -> Credentials:
    known = written is not None and written.project_uuid == str(issued.project_id)
    return Credentials(
        base_url=base_url,
        api_key=issued.api_key or (written.api_key if written is not None and known else ""),
        capture_token=issued.capture_token,
        organization_id=str(issued.organization_id),
        project_id=issued.project_number,
        project_uuid=str(issued.project_id),
    )


def _addresses(settings: Settings, services: EmbeddedServices | None) -> Addresses:
    configured = settings.database.url
    database_url = None if configured is None else configured.get_secret_value()
    temporal_address = settings.temporal.address
    if services is not None:
        database_url = database_url or services.database_url
        temporal_address = temporal_address or services.temporal_address
    if not database_url:
        raise MissingSettingError("Set ASSAY_DATABASE_URL, or use `assay serve`, which starts PostgreSQL itself.")
    if not temporal_address:
        raise MissingSettingError("Set ASSAY_TEMPORAL_ADDRESS, or use `assay serve`, which starts Temporal itself.")
    return Addresses(database_url, temporal_address)
