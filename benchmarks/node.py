"""One process of Assay in a role, put together from the same parts as the commands, for programs that measure it.

Its settings come from the environment. It serves until it is interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from enum import StrEnum

import uvicorn
import uvloop

from assay.dialects.edge.state import ApiState
from assay.installation import ensure_credentials, find_secret_key, open_installation
from assay.kit.logging import configure_logging
from assay.runtime import Runtime, open_runtime
from assay.server import api_state, create_app
from assay.settings import Settings, load_settings
from assay.worker import running_dispatcher, running_worker


class Role(StrEnum):
    """What a process does."""

    SERVE = "serve"
    """API and worker, and the services that are not configured."""
    API = "api"
    WORKER = "worker"


async def run(role: Role, port: int) -> None:
    """Serve until interrupted."""
    settings = load_settings()
    async with AsyncExitStack() as stack:
        installation = await stack.enter_async_context(open_installation(settings))
        await ensure_credentials(settings, installation, base_url=f"http://127.0.0.1:{port}")
        secret_key = find_secret_key(settings, installation.home)
        runtime = await stack.enter_async_context(open_runtime(settings, installation.addresses, secret_key=secret_key))
        opened = running_dispatcher(runtime) if role is Role.API else running_worker(runtime)
        dispatcher = await stack.enter_async_context(opened)
        if role is Role.WORKER:
            await asyncio.Event().wait()
        await _serve_http(settings, runtime, port=port, wake=dispatcher.wake)


async def _serve_http(settings: Settings, runtime: Runtime, *, port: int, wake: Callable[[], None]) -> None:
    @asynccontextmanager
    async def open_state() -> AsyncGenerator[ApiState]:
        yield api_state(runtime, wake_dispatcher=wake)

    config = uvicorn.Config(
        create_app(open_state), port=port, access_log=False, log_level=settings.log.level, log_config=None
    )
    await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser(prog="node", description=__doc__)
    parser.add_argument("role", type=Role, choices=list(Role))
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    configure_logging()
    with suppress(KeyboardInterrupt):
        uvloop.run(run(arguments.role, arguments.port))


if __name__ == "__main__":
    main()
