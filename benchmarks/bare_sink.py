"""The least that keeps events: parse a batch, COPY it into a table without an index, answer.

uv run python -m benchmarks.bare_sink postgresql://…
"""

from __future__ import annotations

import asyncio
import sys

import asyncpg
import orjson
import uvloop
from aiohttp import web

TABLE = "CREATE TABLE IF NOT EXISTS bare_events (uuid text, event text, distinct_id text, properties text)"
COLUMNS = ["uuid", "event", "distinct_id", "properties"]
MAX_BYTES = 20 * 1024 * 1024


async def serve(url: str) -> None:
    """Serve until terminated; the first line of output is the address."""
    async with asyncpg.create_pool(url, min_size=4, max_size=8) as pool:
        await pool.execute(TABLE)

        async def keep(request: web.Request) -> web.Response:
            events = orjson.loads(await request.read())["batch"]
            records = [
                (event["uuid"], event["event"], event["distinct_id"], orjson.dumps(event["properties"]).decode())
                for event in events
            ]
            async with pool.acquire() as connection:
                await connection.copy_records_to_table("bare_events", records=records, columns=COLUMNS)
            return web.json_response({"status": "Ok"})

        app = web.Application(client_max_size=MAX_BYTES)
        app.router.add_post("/batch/", keep)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
