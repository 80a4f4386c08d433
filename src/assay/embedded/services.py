"""Starts what is not configured, keeps it running, and stops it in order.

    async with EmbeddedServices(home) as services:
        services.database_url, services.temporal_address

One process at a time runs services on a home; it holds the home's lock from the first start to the last stop. A
server that dies is started again on its port, after a pause that doubles from death to death. One that keeps dying is
given up: then ``wait_failed`` raises, and the composition root should end the process with that message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import ExitStack
from types import TracebackType
from typing import NoReturn, Self

import structlog

from assay.embedded.errors import ServiceFailedError
from assay.embedded.home import AssayHome
from assay.embedded.postgres import EmbeddedPostgres
from assay.embedded.server import EmbeddedServer
from assay.embedded.temporal import EmbeddedTemporal
from assay.kit.errors import DomainError

DEATHS_ALLOWED = 5
DEATHS_WINDOW_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

_log = structlog.stdlib.get_logger(__name__)


class DeathRecord:
    """When a server died of late, and so how long to wait before the next start."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def record(self, now: float) -> float | None:
        """Note a death; returns the seconds to wait, doubling with each recent death, or None to give up.

        Args:
            now: Seconds on a clock that only goes forward.
        """
        while self._times and now - self._times[0] > DEATHS_WINDOW_SECONDS:
            self._times.popleft()
        self._times.append(now)
        if len(self._times) > DEATHS_ALLOWED:
            return None
        return min(_FIRST_PAUSE_SECONDS * 2 ** (len(self._times) - 1), _LONGEST_PAUSE_SECONDS)


class EmbeddedServices:
    """The embedded servers of one home.

    Args:
        home: Their folder.
        postgres: Whether to run PostgreSQL.
        temporal: Whether to run Temporal.
        namespace: Temporal namespace to be there.
    """

    def __init__(
        self, home: AssayHome, *, postgres: bool = True, temporal: bool = True, namespace: str = "default"
    ) -> None:
        self._home = home
        self._postgres = EmbeddedPostgres(home) if postgres else None
        self._temporal = EmbeddedTemporal(home, namespace=namespace) if temporal else None
        self._supervisors: list[asyncio.Task[None]] = []
        self._failure: ServiceFailedError | None = None
        self._failed = asyncio.Event()
        self._lock = ExitStack()

    @property
    def database_url(self) -> str | None:
        """``postgresql://…``, or None if PostgreSQL was not asked for."""
        return self._postgres.address if self._postgres else None

    @property
    def temporal_address(self) -> str | None:
        """``host:port``, or None if Temporal was not asked for."""
        return self._temporal.address if self._temporal else None

    @property
    def pids(self) -> dict[str, int | None]:
        """Process id by service name; None for one that is down at the moment."""
        return {server.name: server.pid for server in self._servers()}

    def _servers(self) -> list[EmbeddedServer]:
        return [server for server in (self._postgres, self._temporal) if server is not None]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Take the home's lock and start the servers, side by side.

        Raises:
            HomeInUseError: Another Assay runs on this home.
            HomeUnusableError: The folder cannot be used safely.
            ServiceFailedError: A server did not start; the other one is stopped again.
        """
        self._home.prepare()
        self._lock.enter_context(self._home.lock())
        self._failed.clear()
        try:
            await self._start_all()
        except BaseException:
            await self.stop()
            raise
        self._supervisors = [
            asyncio.create_task(self._supervise(server), name=f"supervise-{server.name}") for server in self._servers()
        ]

    async def _start_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for server in self._servers():
                    group.create_task(server.start())
        except* DomainError as failed:
            raise failed.exceptions[0] from None

    async def _supervise(self, server: EmbeddedServer) -> None:
        deaths = DeathRecord()
        while True:
            exit_code = await server.wait_exit()
            _log.warning("embedded_service_died", service=server.name, exit_code=exit_code)
            try:
                await self._revive(server, deaths)
            except ServiceFailedError as exc:
                _log.error("embedded_service_given_up", service=server.name, reason=exc.message)
                self._failure = exc
                self._failed.set()
                return

    async def _revive(self, server: EmbeddedServer, deaths: DeathRecord) -> None:
        loop = asyncio.get_running_loop()
        reason = ""
        while (pause_seconds := deaths.record(loop.time())) is not None:
            await asyncio.sleep(pause_seconds)
            try:
                await server.start()
            except (DomainError, OSError) as exc:
                # A full disk may have room again by the next attempt.
                reason = str(exc)
                continue
            _log.info("embedded_service_restarted", service=server.name, pid=server.pid)
            return
        raise ServiceFailedError(
            f"{server.name} died {DEATHS_ALLOWED + 1} times within {DEATHS_WINDOW_SECONDS:g} s and is given up; "
            f"see {server.log_file}. {reason}".rstrip()
        )

    async def wait_failed(self) -> NoReturn:
        """Wait until a server is given up; waits for ever while all is well.

        Raises:
            ServiceFailedError: The reason.
        """
        await self._failed.wait()
        raise self._failure or ServiceFailedError("an embedded service was given up")

    async def stop(self) -> None:
        """Stop the servers, Temporal first since its work needs the database, and give the home free."""
        for supervisor in self._supervisors:
            supervisor.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
        self._supervisors = []
        try:
            for server in reversed(self._servers()):
                await server.stop()
        finally:
            self._lock.close()
