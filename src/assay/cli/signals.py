"""Ending a long-running role in order.

SIGINT and SIGTERM cancel the role's main task. Everything it opened is closed by the context managers it is in: the
API first, which stops accepting and lets answers finish, then the worker, then the services.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = structlog.stdlib.get_logger(__name__)


async def run_until_stopped(main: Coroutine[Any, Any, None]) -> None:
    """Run until ``main`` ends or a signal asks to stop; what ``main`` raises is raised here."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(main)
    received: list[int] = []

    def stop(number: int) -> None:
        # Only the first counts: a second cancellation would break off the orderly end that the first one began.
        if not received:
            _log.info("stopping", signal=signal.Signals(number).name)
            task.cancel()
        received.append(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    _log.info("stopped")


@asynccontextmanager
async def background(main: Coroutine[Any, Any, None]) -> AsyncGenerator[asyncio.Task[None]]:
    """A task that runs inside the block and is cancelled, and waited for, at its end."""
    task = asyncio.get_running_loop().create_task(main)
    try:
        yield task
    finally:
        task.cancel()
        # What it raised is for whoever waits on the task inside the block.
        with suppress(asyncio.CancelledError, Exception):
            await task


async def wait_any(*tasks: asyncio.Task[None]) -> None:
    """Wait until one of the tasks ends; raises what it raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
