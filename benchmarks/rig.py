"""What benchmarks stand on: embedded services in a throw-away home, processes of Assay, a mock provider, a client.

Everything listens on loopback, and everything that is started here is stopped here.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
import psutil
import uvloop

from assay.cli.signals import run_until_stopped
from assay.embedded.home import AssayHome
from assay.embedded.services import EmbeddedServices

API_KEY = "mk-benchmark-0123456789abcdef"
START_SECONDS = 60.0
STOP_SECONDS = 20.0
RUN_SECONDS = 300.0
LONGEST_SECONDS = 1800.0
"""Of one benchmark, on however busy a machine."""
POLL_SECONDS = 0.1
"""Asking costs the server time too, which at 20 ms was a tenth of what a run needs."""
_ROOT = Path(__file__).resolve().parent.parent


def run_bounded(main: Coroutine[Any, Any, None]) -> None:
    """Run a benchmark to its end, in order also when it is interrupted or takes too long.

    Raises:
        TimeoutError: It took longer than a benchmark may.
    """

    async def bounded() -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            await main

    uvloop.run(run_until_stopped(bounded()))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def throwaway_home() -> AsyncGenerator[Path]:
    """A home that is removed with all its data."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        yield Path(folder) / "home"


@asynccontextmanager
async def process(
    arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A Python module in a process of its own, stopped at the end, by force when it must be."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=_ROOT,
        env={**os.environ, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), STOP_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()


@asynccontextmanager
async def model_server(*, latency_seconds: float, dimensions: int | None = None) -> AsyncGenerator[str]:
    """A mock provider in its own process; gives its base URL. With dimensions its vectors are drawn at random."""
    arguments = ["tests.support.model_server", "--latency", str(latency_seconds)]
    if dimensions is not None:
        arguments += ["--dimensions", str(dimensions)]
    async with process(arguments) as child:
        if child.stdout is None:
            raise RuntimeError("the mock provider has no output")
        line = await asyncio.wait_for(child.stdout.readline(), START_SECONDS)
        yield json.loads(line)["url"]


class Role(StrEnum):
    """What a process of Assay does."""

    SERVE = "serve"
    """API and worker, and the services that are not configured."""
    API = "api"
    WORKER = "worker"


# The API as `serve` without workers, because that also migrates and makes the first key.
_COMMANDS = {Role.SERVE: ["serve"], Role.API: ["serve", "--workers", "0"], Role.WORKER: ["worker"]}


@dataclass(frozen=True, slots=True)
class Node:
    """A running process of Assay."""

    pid: int
    url: str

    def peak(self) -> float:
        """The greatest RSS in MiB that the process itself, without its children, has had; of Linux alone."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def memory(self) -> tuple[float, float]:
        """(RSS, PSS) in MiB, of the process with its children, but without embedded services."""
        processes = [found for found in _family(psutil.Process(self.pid)) if not is_service(found)]
        details = [found.memory_full_info() for found in processes]
        return sum(info.rss for info in details) / 2**20, sum(info.pss for info in details) / 2**20


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def is_service(process: psutil.Process) -> bool:
    """Whether it is one of the embedded services, or of their workers."""
    return process.name().startswith(("postgres", "temporal"))


@asynccontextmanager
async def node(role: Role, home: Path, *, settings: Mapping[str, str]) -> AsyncGenerator[Node]:
    """A process of Assay in a role; with an API, ready to answer."""
    port = free_port()
    environment = {
        "ASSAY_HOME": str(home),
        "ASSAY_BOOTSTRAP_API_KEY": API_KEY,
        "ASSAY_LOG_LEVEL": "warning",
        **settings,
    }
    arguments = ["assay", *_COMMANDS[role]]
    if role is not Role.WORKER:
        arguments += ["--port", str(port)]
    async with process(arguments, environment=environment) as child:
        running = Node(child.pid, f"http://127.0.0.1:{port}")
        if role is not Role.WORKER:
            await until_ready(running.url)
        yield running


async def until_ready(url: str) -> None:
    """Wait for the first 200.

    Raises:
        TimeoutError: There was none within a minute.
    """
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.01)


@asynccontextmanager
async def services(home: Path) -> AsyncGenerator[dict[str, str]]:
    """The embedded PostgreSQL and Temporal of a home; gives the settings that lead to them."""
    async with EmbeddedServices(AssayHome(home)) as running:
        yield {
            "ASSAY_DATABASE_URL": running.database_url or "",
            "ASSAY_TEMPORAL_ADDRESS": running.temporal_address or "",
        }


class Client:
    """The little of the API that benchmarks use."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v1/llm"
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {API_KEY}"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def get(self, path: str, **query: str | int) -> Any:
        """The body of an answer.

        Raises:
            RuntimeError: The answer was not 200.
        """
        async with self._session.get(self._url + path, params=query) as response:
            return await _body(response)

    async def post(self, path: str, body: Any) -> Any:
        """The body of an answer; raises as ``get``."""
        async with self._session.post(self._url + path, json=body) as response:
            return await _body(response)

    async def upload(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Store rows as a file; gives its id."""
        form = aiohttp.FormData()
        form.add_field("purpose", "evals")
        form.add_field("file", b"\n".join(orjson.dumps(row) for row in rows), filename="rows.jsonl")
        async with self._session.post(f"{self._url}/files", data=form) as response:
            return (await _body(response))["id"]

    async def create_suite(
        self, name: str, rows: Sequence[Mapping[str, Any]], *, tasks: Sequence[str] = ("questions",)
    ) -> str:
        """A suite with exact-match tasks over the rows; gives its id."""
        dataset = {"file_id": await self.upload(rows)}
        manifest = {"tasks": [{"id": task, "type": "qa", "dataset": dataset} for task in tasks]}
        return (await self.post("/evals/suites", {"name": name, "manifest": manifest}))["id"]

    async def run_to_end(self, request: Mapping[str, Any], *, seconds: float = RUN_SECONDS) -> str:
        """Create a run and wait, so long at most, until it has completed; gives its id.

        Raises:
            RuntimeError: It failed, or samples of it did.
        """
        run = await self.post("/evals/runs", request)
        async with asyncio.timeout(seconds):
            while run["status"] not in {"completed", "failed", "cancelled"}:
                await asyncio.sleep(POLL_SECONDS)
                run = await self.get(f"/evals/runs/{run['id']}")
        if run["status"] != "completed" or run["request_counts"]["failed"]:
            raise RuntimeError(f"the run is {run['status']}: {run['request_counts']} {run['error']}")
        return run["id"]


async def _body(response: aiohttp.ClientResponse) -> Any:
    content = await response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.method} {response.url}: HTTP {response.status}: {content[:500]!r}")
    return orjson.loads(content)
