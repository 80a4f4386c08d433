"""What the long-running roles do between start and stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from assay.cli.connecting import known_secret_key, require_migrated
from assay.cli.hosting import Listener, open_listener, running_api, serving_metrics
from assay.cli.signals import background, wait_any
from assay.cli.temporal_logs import route_temporal_logs
from assay.cli.workers import LocalWorker, WorkerProcesses
from assay.core.projects.service import bootstrap
from assay.db.session import transaction
from assay.dialects.edge.state import ApiState
from assay.embedded.home import AssayHome
from assay.installation import Installation, ensure_credentials, external_addresses, open_installation
from assay.runtime import Addresses, Runtime, open_runtime
from assay.server import api_state, create_app
from assay.settings import Settings, inherited_environment
from assay.worker import running_dispatcher

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """What is told when the API answers."""

    base_url: str
    new_api_key: str | None
    """The key, when it was made by this start."""
    credentials_file: str


async def serve(settings: Settings, *, host: str, port: int, workers: int, announce: Callable[[Ready], None]) -> None:
    """Services, API and workers, until cancelled.

    Args:
        settings: All settings.
        host: Where to listen.
        port: TCP port; 0 for a free one.
        workers: 1: in this process; more: that many processes; 0: none.
        announce: Called once, when the API answers.

    Raises:
        HomeInUseError: Another Assay runs on the same home.
        PortInUseError: The port is taken.
        ServiceFailedError: A service does not start, or keeps dying.
        WorkerFailedError: A worker keeps dying.
    """
    route_temporal_logs()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(open_listener(host, port))
        installation = await stack.enter_async_context(open_installation(settings))
        ready = await _prepare_credentials(settings, installation, listener)
        runtime = await stack.enter_async_context(
            open_runtime(settings, installation.addresses, secret_key=installation.secret_key)
        )
        watched = [await stack.enter_async_context(background(installation.wait_failed()))]
        wake = await _start_workers(stack, runtime, installation.addresses, workers=workers, watched=watched)
        watched.append(await stack.enter_async_context(_running_routes(runtime, listener, wake)))
        announce(ready)
        _log.info("serving", base_url=listener.base_url, workers=workers)
        await wait_any(*watched)


async def _prepare_credentials(settings: Settings, installation: Installation, listener: Listener) -> Ready:
    before = installation.home.read_credentials()
    credentials = await ensure_credentials(settings, installation, base_url=listener.base_url)
    known = settings.core.bootstrap_api_key is not None or (
        before is not None and before.api_key == credentials.api_key
    )
    return Ready(
        base_url=listener.base_url,
        new_api_key=None if known else credentials.api_key or None,
        credentials_file=str(installation.home.credentials_file),
    )


async def _start_workers(
    stack: AsyncExitStack,
    runtime: Runtime,
    addresses: Addresses,
    *,
    workers: int,
    watched: list[asyncio.Task[None]],
) -> Callable[[], None]:
    """Start the workers; returns what wakes this process's dispatcher."""
    if workers == 1:
        worker = LocalWorker(runtime)
        watched.append(await stack.enter_async_context(background(worker.run_forever())))
        return worker.wake_dispatcher
    if workers > 1:
        environment = inherited_environment(
            ASSAY_DATABASE_URL=addresses.database_url,
            ASSAY_TEMPORAL_ADDRESS=addresses.temporal_address,
            ASSAY_LOG_LEVEL=runtime.settings.log.level,
            ASSAY_LOG_FORMAT=runtime.settings.log.format,
        )
        processes = WorkerProcesses(workers, environment=environment)
        watched.append(await stack.enter_async_context(background(processes.run_forever())))
    return (await stack.enter_async_context(running_dispatcher(runtime))).wake


@asynccontextmanager
async def _running_routes(
    runtime: Runtime, listener: Listener, wake: Callable[[], None]
) -> AsyncGenerator[asyncio.Task[None]]:
    @asynccontextmanager
    async def open_state() -> AsyncGenerator[ApiState]:
        yield api_state(runtime, wake_dispatcher=wake)

    async with running_api(create_app(open_state), listener) as task:
        yield task


async def serve_api(settings: Settings, *, host: str, port: int, announce: Callable[[str], None]) -> None:
    """The API alone, on external services, until cancelled.

    A preset first key is put in place; otherwise an empty database stays empty until ``assay projects create``.

    Raises:
        MissingSettingError: The address of a service is not configured.
        PortInUseError: The port is taken.
        NotMigratedError: The database is not at this version's schema.
    """
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(open_listener(host, port))
        runtime = await stack.enter_async_context(_external_runtime(settings))
        await _ensure_preset_key(settings, runtime)
        dispatcher = await stack.enter_async_context(running_dispatcher(runtime))
        task = await stack.enter_async_context(_running_routes(runtime, listener, dispatcher.wake))
        announce(listener.base_url)
        await wait_any(task)


async def _ensure_preset_key(settings: Settings, runtime: Runtime) -> None:
    preset = settings.core.bootstrap_api_key
    if preset is not None:
        async with transaction(runtime.sessions) as session:
            await bootstrap(session, api_key=preset.get_secret_value())


async def work(settings: Settings, *, metrics: tuple[str, int] | None = None) -> None:
    """A worker alone, on external services, until cancelled.

    Args:
        settings: All settings.
        metrics: Where to serve its metrics: host and port, 0 for a free one; None for nowhere.

    Raises:
        PortInUseError: The port is taken.
        MissingSettingError: The address of a service is not configured.
        NotMigratedError: The database is not at this version's schema.
        WorkerFailedError: The worker keeps dying.
    """
    with ExitStack() as stack:
        if metrics is not None:
            _log.info("serving_metrics", url=stack.enter_context(serving_metrics(*metrics)))
        async with _external_runtime(settings) as runtime:
            await LocalWorker(runtime).run_forever()


@asynccontextmanager
async def _external_runtime(settings: Settings) -> AsyncGenerator[Runtime]:
    route_temporal_logs()
    addresses = external_addresses(settings)
    await require_migrated(addresses.database_url)
    secret_key = known_secret_key(settings, AssayHome(settings.core.home))
    async with open_runtime(settings, addresses, secret_key=secret_key) as runtime:
        yield runtime
