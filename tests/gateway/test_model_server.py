"""The mock provider as a process, as benchmarks start it."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import orjson


async def test_it_prints_its_address_and_serves() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.model_server", "--port", "0", "--record", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        address = orjson.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        assert address["pid"] == process.pid
        body = {"model": "m", "messages": [{"role": "user", "content": "answer=7"}]}
        async with aiohttp.ClientSession() as session:
            async with session.post(address["url"] + "/chat/completions", json=body) as response:
                reply = await response.json()
            async with session.get(address["url"].removesuffix("/v1") + "/stats") as response:
                stats = await response.json()
        assert reply["choices"][0]["message"]["content"] == "7"
        assert stats["prompts"] == {"answer=7": 1}
    finally:
        process.terminate()
        await process.wait()
