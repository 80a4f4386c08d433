"""The HTTP server of a process: uvicorn, without its own handling of signals and logs."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import start_http_server

from assay.cli.console import PortInUseError
from assay.kit.errors import InvalidError

if TYPE_CHECKING:
    from fastapi import FastAPI

DRAIN_SECONDS = 10
"""How long requests may go on once the server is asked to stop."""


class UnusableHostError(InvalidError):
    """The host cannot be listened on."""

    code = "unusable_host"


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, and how clients on this machine reach it."""

    socket: socket.socket
    base_url: str


@contextmanager
def open_listener(host: str, port: int) -> Generator[Listener]:
    """Take the port before anything else is started, so that a taken one costs nothing.

    Connections are refused until a server listens.

    Args:
        host: Name or address to listen on.
        port: TCP port; 0 for any free one.

    Raises:
        PortInUseError: Another program listens there, or only root may.
        UnusableHostError: The host is not an address of this machine.
    """
    with _bind(host, port) as bound:
        actual = int(bound.getsockname()[1])
        yield Listener(bound, f"http://{_reachable(bound.getsockname()[0])}:{actual}")


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as exc:
        raise UnusableHostError(f"cannot listen on {host}: {exc.strerror}. Check --host.", param="host") from exc
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError as exc:
        bound.close()
        raise _explain_bind(exc, host, port) from exc
    return bound


def _explain_bind(error: OSError, host: str, port: int, *, option: str = "--") -> PortInUseError | UnusableHostError:
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        why = "another program uses it" if error.errno == errno.EADDRINUSE else "only root may use it"
        return PortInUseError(
            f"cannot listen on port {port}: {why}. Choose another with {option}port; 0 takes a free one."
        )
    return UnusableHostError(f"cannot listen on {host}: {error.strerror}. Check {option}host.", param="host")


def _reachable(address: str) -> str:
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified:
        return "127.0.0.1" if parsed.version == 4 else "[::1]"
    return address if parsed.version == 4 else f"[{address}]"


class _Server(uvicorn.Server):
    """Leaves signals to the process, and tells when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()


@contextmanager
def serving_metrics(host: str, port: int) -> Generator[str]:
    """Serve this process's ``/metrics`` from a thread, for processes without an API. Gives its URL.

    Raises:
        PortInUseError: Another program listens there, or only root may.
        UnusableHostError: The host is not an address of this machine.
    """
    try:
        server, thread = start_http_server(port, host)
    except OSError as exc:
        raise _explain_bind(exc, host, port, option="--metrics-") from exc
    try:
        address = server.socket.getsockname()
        yield f"http://{_reachable(address[0])}:{address[1]}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@asynccontextmanager
async def running_api(app: FastAPI, listener: Listener) -> AsyncGenerator[asyncio.Task[None]]:
    """Serve inside the block, from the moment it is entered; answers in progress may finish at its end.

    Gives the server's task, which ends early only if the server fails.
    """
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = _Server(config)
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener.socket]))
    ready = asyncio.ensure_future(server.ready.wait())
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield task
    finally:
        ready.cancel()
        server.should_exit = True
        await asyncio.wait({task})
