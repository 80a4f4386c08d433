"""The life of one embedded server, the same for every kind.

    start:  end what an earlier run left behind → prepare data → choose a port → launch → probe until it answers
    stop:   signals, from polite to final
    death:  seen by ``wait_exit``; ``start`` again brings it back on the same port

The port is the one of the last start if it is free, so that clients with a connection string keep working. Once a
server has started in this process its port stays, whatever happens: pools elsewhere reconnect to it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from assay.embedded.errors import ServiceFailedError
from assay.embedded.home import AssayHome
from assay.embedded.process import (
    Command,
    Step,
    end,
    find_free_port,
    log_tail,
    open_log,
    port_is_free,
    spawn,
)

_PROBE_EVERY_SECONDS = 0.02
_PORT_TAKEN = "address already in use"
_PORT_ATTEMPTS = 3


class EmbeddedServer(ABC):
    """A server that runs as a child process on a loopback port. Subclasses say what is special about theirs."""

    name: ClassVar[str]
    start_timeout_seconds: ClassVar[float] = 30.0
    """Longest time from launch to the first answer; recovery after a crash counts."""
    stop_steps: ClassVar[Sequence[Step]]

    def __init__(self, home: AssayHome) -> None:
        self.home = home
        self._process: Process | None = None
        self._port: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    @property
    def port(self) -> int:
        """Its loopback TCP port.

        Raises:
            ServiceFailedError: It was never started.
        """
        if self._port is None:
            raise ServiceFailedError(f"{self.name} was not started")
        return self._port

    @property
    def log_file(self) -> Path:
        """Where the server writes its log."""
        return self.home.logs / f"{self.name}.log"

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client needs to connect."""

    @abstractmethod
    async def prepare(self) -> None:
        """Make the data ready for a launch."""

    @abstractmethod
    async def clear_leftovers(self) -> None:
        """End processes of an earlier run that still hold this home's data."""

    @abstractmethod
    def command(self, port: int) -> Command:
        """How to launch it on a port."""

    @abstractmethod
    async def probe(self) -> None:
        """Make one real call.

        Raises:
            ServiceFailedError: No usable answer; the message says what came instead.
        """

    async def start(self) -> str:
        """Start it and wait until it answers; returns its address.

        Raises:
            ServiceFailedError: It ended early or did not answer in time; the message holds the end of its log.
        """
        if self.pid is not None:
            return self.address
        self.home.prepare()
        await self.clear_leftovers()
        await self.prepare()
        if self._port is None:
            await self._start_on_some_port()
        else:
            await self._launch(self._port)
        self.home.remember_port(self.name, self.port)
        return self.address

    async def _start_on_some_port(self) -> None:
        preferred = self.home.recall_port(self.name)
        for _ in range(_PORT_ATTEMPTS - 1):
            port = find_free_port(preferred)
            try:
                return await self._launch(port)
            except ServiceFailedError as exc:
                # Somebody may have taken a port between the look and the launch: ours, or one of those that Temporal
                # picks for its inner services. Anything else is a real fault.
                self._port = None
                if port_is_free(port) and _PORT_TAKEN not in exc.message:
                    raise
                preferred = None
        return await self._launch(find_free_port())

    async def _launch(self, port: int) -> None:
        self._port = port
        with open_log(self.log_file) as log:
            log_start = log.seek(0, 2)
            self._process = await spawn(self.command(port), home=self.home.path, log=log)
        try:
            await self._wait_ready(self._process, log_start)
        except BaseException:
            await self.stop()
            raise

    async def wait_ready(self, timeout_seconds: float = 30.0) -> None:
        """Wait until it answers.

        Raises:
            ServiceFailedError: It did not in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            try:
                return await self.probe()
            except ServiceFailedError as exc:
                if loop.time() > deadline:
                    raise ServiceFailedError(
                        f"{self.name} did not answer within {timeout_seconds:g} s: {exc.message}"
                    ) from exc
            await asyncio.sleep(_PROBE_EVERY_SECONDS)

    async def _wait_ready(self, process: Process, log_start: int) -> None:
        ready = asyncio.ensure_future(self.wait_ready(self.start_timeout_seconds))
        exited = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait({ready, exited}, return_when=asyncio.FIRST_COMPLETED)
            if exited.done():
                raise ServiceFailedError(self._describe_exit(exited.result(), log_start))
            await ready
        finally:
            for task in (ready, exited):
                task.cancel()
            await asyncio.gather(ready, exited, return_exceptions=True)

    def _describe_exit(self, exit_code: int, log_start: int) -> str:
        end_of_log = log_tail(self.log_file, since=log_start) or "(it wrote nothing)"
        return f"{self.name} ended at once with exit code {exit_code}. {self.log_file} says:\n{end_of_log}"

    async def wait_exit(self) -> int:
        """Wait until the running process ends; returns its exit code, minus the signal's number if one ended it."""
        if self._process is None:
            raise ServiceFailedError(f"{self.name} was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop it. Does nothing if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            await end(process, self.stop_steps)
