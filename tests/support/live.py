"""The real server in a thread of its own: API and worker on one event loop, models at a mock provider.

The thread has its own loop, so that tests may block (the SDK's synchronous half does) without stopping the server::

    with LiveServer(addresses, folder=tmp_path) as server:
        keys = server.call(make_tenants(server))
        SDK(bearer_auth=keys.all_scopes, server_url=server.url)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from tests.support.model_server import Behaviour, ModelServer

from assay.dialects.edge.state import ApiState
from assay.runtime import Addresses, Runtime, open_runtime
from assay.server import api_state, create_app
from assay.settings import (
    CoreSettings,
    FileSettings,
    ImportSettings,
    OutboundSettings,
    ProviderSettings,
    Settings,
    TemporalSettings,
)
from assay.worker import running_worker

T = TypeVar("T")

START_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Running:
    """What exists while the server runs."""

    loop: asyncio.AbstractEventLoop
    runtime: Runtime
    app: FastAPI
    models: ModelServer
    url: str
    stop: asyncio.Event


class LiveServer:
    """A server on loopback; a context manager that starts and stops it.

    Args:
        addresses: A migrated PostgreSQL database, and Temporal.
        folder: Home of this server: files and ``assay.toml``.
        task_queue: Temporal queue; give each server on a shared Temporal its own.
        behaviour: What the mock provider does; change it through ``models.behaviour`` while the server runs.
        max_file_bytes: Largest upload.
        imports: Where historical results are read; an empty folder of the server's own unless given.
        outbound: Which private hosts may be called.
    """

    def __init__(
        self,
        addresses: Addresses,
        *,
        folder: Path,
        task_queue: str = "assay",
        behaviour: Behaviour | None = None,
        max_file_bytes: int = 512 * 1024 * 1024,
        imports: ImportSettings | None = None,
        outbound: OutboundSettings | None = None,
    ) -> None:
        self._addresses = addresses
        self._folder = folder
        self._task_queue = task_queue
        self._behaviour = behaviour or Behaviour()
        self._max_file_bytes = max_file_bytes
        self._imports = imports or ImportSettings(folder=folder / "imports")
        self._outbound = outbound or OutboundSettings()
        self._thread = threading.Thread(target=self._run, name="live-server", daemon=True)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(START_TIMEOUT_SECONDS):
            raise TimeoutError("the live server did not start")
        if self._failure is not None:
            raise RuntimeError("the live server failed to start") from self._failure
        return self

    def __exit__(self, *exc: object) -> None:
        running = self._now()
        running.loop.call_soon_threadsafe(running.stop.set)
        self._thread.join(START_TIMEOUT_SECONDS)

    @property
    def url(self) -> str:
        """Address without a trailing slash."""
        return self._now().url

    @property
    def app(self) -> FastAPI:
        """The application that is served."""
        return self._now().app

    @property
    def runtime(self) -> Runtime:
        """What the server has open. Its engine belongs to the server's loop: use it through ``call``."""
        return self._now().runtime

    @property
    def models(self) -> ModelServer:
        """The mock provider; models of any name are ``openai/<name>``."""
        return self._now().models

    def call(self, work: Coroutine[Any, Any, T], *, timeout: float = 30.0) -> T:
        """Run a coroutine on the server's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._now().loop).result(timeout)

    def _now(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the live server is not running")
        return self._running

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:
            self._failure = failure
            self._started.set()

    async def _serve(self) -> None:
        async with ModelServer(self._behaviour) as models, self._opened(models) as (runtime, app):
            config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, http="httptools", lifespan="on")
            server = uvicorn.Server(config)
            serving = asyncio.ensure_future(server.serve())
            while not server.started:
                if serving.done():
                    serving.result()
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._running = _Running(loop, runtime, app, models, f"http://127.0.0.1:{port}", stop)
            self._started.set()
            await stop.wait()
            server.should_exit = True
            await serving

    @asynccontextmanager
    async def _opened(self, models: ModelServer) -> AsyncGenerator[tuple[Runtime, FastAPI]]:
        settings = Settings(
            core=CoreSettings(home=self._folder, config=None),
            files=FileSettings(max_bytes=self._max_file_bytes),
            temporal=TemporalSettings(task_queue=self._task_queue),
            imports=self._imports,
            outbound=self._outbound,
            providers=ProviderSettings(openai_api_key=SecretStr("sk-test"), openai_base_url=models.url),
        )
        async with (
            open_runtime(settings, self._addresses, secret_key="a-secret-key-for-tests") as runtime,
            running_worker(runtime) as dispatcher,
        ):

            @asynccontextmanager
            async def open_state() -> AsyncGenerator[ApiState]:
                yield api_state(runtime, wake_dispatcher=dispatcher.wake)

            yield runtime, create_app(open_state)
