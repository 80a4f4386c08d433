"""The yardstick: a loop that does nothing but post requests and parse the JSON of the replies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import aiohttp
import orjson


async def ask_all(url: str, prompts: Sequence[str], *, in_flight: int) -> float:
    """Ask every prompt of a chat completions endpoint; gives the seconds that took.

    Args:
        url: Base URL, with ``/v1``.
        prompts: One request each.
        in_flight: Requests at a time.

    Raises:
        RuntimeError: An answer was not 200.
    """
    endpoint = f"{url}/chat/completions"
    waiting = iter(prompts)
    started = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(_ask_each(session, endpoint, waiting))
    return time.perf_counter() - started


async def _ask_each(session: aiohttp.ClientSession, endpoint: str, waiting: Iterator[str]) -> None:
    headers = {"Content-Type": "application/json"}
    for prompt in waiting:
        body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}]})
        async with session.post(endpoint, data=body, headers=headers) as response:
            reply = orjson.loads(await response.read())
        if response.status != 200 or not reply["choices"][0]["message"]["content"]:
            raise RuntimeError(f"HTTP {response.status}: {reply!r:.500}")
