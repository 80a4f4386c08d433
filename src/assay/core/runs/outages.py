"""Sitting out a database that is away, so that answers which were paid for are not thrown away with the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from assay.db.faults import is_transient

T = TypeVar("T")

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 2.0
LONGEST_OUTAGE_SECONDS = 300.0
"""After this long the lane gives up what it holds; the durable engine goes on trying in its place."""

_log = structlog.stdlib.get_logger(__name__)


async def sit_out(step: Callable[[], Awaitable[T]], *, longest_seconds: float = LONGEST_OUTAGE_SECONDS) -> T:
    """Repeat a step until the database is there.

    Args:
        step: A whole transaction that bears being done twice: a commit whose answer was lost may have happened.
        longest_seconds: How long to go on.

    Raises:
        Exception: Any fault that waiting does not heal, at once; the transient one when the time is up.
    """
    clock = asyncio.get_running_loop()
    deadline = clock.time() + longest_seconds
    delay = FIRST_DELAY_SECONDS
    while True:
        try:
            return await step()
        except Exception as error:
            if not is_transient(error) or clock.time() + delay > deadline:
                raise
            _log.warning("database_away", error=type(error).__name__, retry_in_seconds=delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_DELAY_SECONDS)
