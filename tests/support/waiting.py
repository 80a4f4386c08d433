"""Waiting for a condition instead of for time to pass."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")

_POLL_SECONDS = 0.02


async def eventually(check: Callable[[], T | Awaitable[T]], *, timeout: float = 10.0) -> T:
    """Call ``check`` until it returns something true; returns that.

    A check that raises ``AssertionError`` is not true yet; any other exception is a fault and ends the wait.

    Args:
        check: Plain or async function without arguments.
        timeout: Seconds after which the wait fails, with the last assertion or value in the message.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        value, failure = await _try(check)
        if value:
            return value
        if loop.time() > deadline:
            raise AssertionError(f"not true within {timeout:g} s; last: {failure or value!r}") from failure
        await asyncio.sleep(_POLL_SECONDS)


async def _try(check: Callable[[], T | Awaitable[T]]) -> tuple[T | None, AssertionError | None]:
    try:
        result = check()
        if inspect.isawaitable(result):
            result = await result
        return cast("T", result), None
    except AssertionError as exc:
        return None, exc
