"""Keeping workers alive: the one inside this process, or several in processes of their own.

A worker that dies is started again after a pause that doubles from death to death. One that keeps dying is given up,
and then the role ends with that reason: an Assay that answers requests but carries nothing out helps nobody. A Temporal
that is away is no death: the worker waits for it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping

import structlog
from temporalio.service import RPCError

from assay.cli.console import WorkerFailedError
from assay.embedded.process import Command, Step, end
from assay.embedded.services import DEATHS_ALLOWED, DEATHS_WINDOW_SECONDS, DeathRecord
from assay.runtime import Runtime
from assay.worker import GRACE, running_worker
from assay.workflows.dispatch import Dispatcher

_STOP_STEPS = (Step(signal.SIGTERM, GRACE.total_seconds() + 10.0), Step(signal.SIGKILL, 5.0))
_TEMPORAL_POLL_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


class LocalWorker:
    """The worker inside this process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._dispatcher: Dispatcher | None = None

    def wake_dispatcher(self) -> None:
        """Something was put into the outbox. Without a dispatcher at the moment, the next one finds it."""
        if self._dispatcher is not None:
            self._dispatcher.wake()

    async def run_forever(self) -> None:
        """Work until cancelled.

        Raises:
            WorkerFailedError: The worker keeps dying.
        """
        deaths = DeathRecord()
        while True:
            try:
                await self._run_once()
            except Exception as error:
                _log.exception("worker_died")
                await self._wait_for_temporal()
                await pause_after_death(deaths, reason=f"{type(error).__name__}: {error}")

    async def _run_once(self) -> None:
        try:
            async with running_worker(self._runtime) as self._dispatcher:
                await asyncio.Event().wait()
        finally:
            self._dispatcher = None

    async def _wait_for_temporal(self) -> None:
        while True:
            try:
                if await self._runtime.temporal.service_client.check_health():
                    return
            except RPCError as error:
                _log.warning("temporal_away", error=str(error))
            await asyncio.sleep(_TEMPORAL_POLL_SECONDS)


class WorkerProcesses:
    """Workers in child processes, which end when this process ends, even by force.

    Args:
        count: How many.
        environment: Their whole environment, with the addresses of the services.
    """

    def __init__(self, count: int, *, environment: Mapping[str, str]) -> None:
        self._count = count
        self._environment = dict(environment)

    async def run_forever(self) -> None:
        """Keep them running until cancelled, then stop them.

        Raises:
            WorkerFailedError: One of them keeps dying; the others are stopped.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._count + 1):
                    group.create_task(self._keep_running(number))
        except* WorkerFailedError as failed:
            raise failed.exceptions[0] from None

    async def _keep_running(self, number: int) -> None:
        deaths = DeathRecord()
        while True:
            exit_code = await self._run_one(number)
            _log.warning("worker_process_died", worker=number, exit_code=exit_code)
            await pause_after_death(deaths, reason=f"exit code {exit_code}; its log says why")

    async def _run_one(self, number: int) -> int:
        command = Command([sys.executable, "-m", "assay", "worker"])
        process = await asyncio.create_subprocess_exec(
            *command.launch_arguments(),
            stdin=asyncio.subprocess.DEVNULL,
            env=self._environment,
            # Ctrl-C on the terminal reaches this process alone, which then stops its workers in order.
            start_new_session=True,
        )
        _log.info("worker_process_started", worker=number, pid=process.pid)
        try:
            return await process.wait()
        finally:
            await end(process, _STOP_STEPS)


async def pause_after_death(deaths: DeathRecord, *, reason: str) -> None:
    """Wait before the next start.

    Raises:
        WorkerFailedError: There were too many deaths of late.
    """
    seconds = deaths.record(asyncio.get_running_loop().time())
    if seconds is None:
        raise WorkerFailedError(
            f"the worker died {DEATHS_ALLOWED + 1} times within {DEATHS_WINDOW_SECONDS:g} s and is given up: {reason}"
        )
    await asyncio.sleep(seconds)
