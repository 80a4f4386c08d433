"""Rate of capture: two clients send batches of events over loopback, to Assay and, in turns, to a bare reference.

    uv run python -m benchmarks.capture

The reference (benchmarks/bare_sink.py) parses the same bodies and writes the same events into a table by the same
server of PostgreSQL with one COPY a batch, on aiohttp: no token, no checks, no uuid that has to be new, no index. It
says what the machine has for the transport and the writing, which nothing that keeps events can do without.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import orjson
from benchmarks import report
from benchmarks.rig import Role, node, process, run_bounded, services, throwaway_home

BUDGET = 2000
CLIENTS = 2
IN_FLIGHT = 4
"""Requests that each client has in flight."""
WORDS = ("the", "model", "answers", "a", "question", "about", "refunds", "and", "shipping", "in", "short", "words")


@dataclass(frozen=True, slots=True)
class Sink:
    """Something that takes events."""

    name: str
    url: str
    database_url: str
    table: str


def make_bodies(token: str, events: int, batch: int, seed: int) -> list[bytes]:
    """Batches of generations of about a kilobyte each, of traces of five."""
    draw = random.Random(seed)
    bodies: list[bytes] = []
    for start in range(0, events, batch):
        items = [make_event(draw, start + number) for number in range(min(batch, events - start))]
        bodies.append(orjson.dumps({"api_key": token, "batch": items}))
    return bodies


def make_event(draw: random.Random, number: int) -> dict[str, Any]:
    """One generation."""
    question, answer = (" ".join(draw.choices(WORDS, k=length)) for length in (60, 40))
    return {
        "event": "$ai_generation",
        "distinct_id": f"user-{draw.randrange(1000)}",
        "uuid": str(uuid4()),
        "timestamp": "2026-01-31T09:30:00Z",
        "properties": {
            "$ai_trace_id": f"trace-{number // 5}",
            "$ai_span_id": f"span-{number}",
            "$ai_model": "gpt-5-mini",
            "$ai_provider": "openai",
            "$ai_input": [{"role": "user", "content": question}],
            "$ai_output_choices": [{"role": "assistant", "content": answer}],
            "$ai_input_tokens": 80,
            "$ai_output_tokens": 50,
            "$ai_latency": draw.random(),
        },
    }


async def send_all(url: str, bodies: Sequence[bytes]) -> float:
    """Events a second, from the first request to the last answer.

    Raises:
        RuntimeError: An answer was not 200.
    """
    queue = list(bodies)

    async def send(session: aiohttp.ClientSession) -> None:
        while queue:
            body = queue.pop()
            async with session.post(f"{url}/batch/", data=body) as response:
                content = await response.read()
                if response.status != 200:
                    raise RuntimeError(f"HTTP {response.status}: {content[:300]!r}")

    started = time.perf_counter()
    async with aiohttp.ClientSession() as first, aiohttp.ClientSession() as second:
        await asyncio.gather(*(send(session) for session in (first, second)[:CLIENTS] for _ in range(IN_FLIGHT)))
    return time.perf_counter() - started


async def count(sink: Sink) -> int:
    """Events that are stored."""
    connection = await asyncpg.connect(sink.database_url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {sink.table}"))
    finally:
        await connection.close()


@asynccontextmanager
async def bare_sink(database_url: str) -> AsyncGenerator[str]:
    """The reference in a process of its own; gives its address."""
    async with process(["benchmarks.bare_sink", database_url]) as child:
        if child.stdout is None:
            raise RuntimeError("the bare sink has no output")
        line = await asyncio.wait_for(child.stdout.readline(), 30)
        yield line.decode().strip()


async def compare(arguments: argparse.Namespace) -> None:
    """Send the same number of events to both in every round."""
    async with throwaway_home() as home, services(home) as settings:
        url = settings["ASSAY_DATABASE_URL"]
        async with node(Role.API, home, settings={**settings, "OPENAI_API_KEY": "sk-x"}) as api, bare_sink(url) as bare:
            connection = await asyncpg.connect(url)
            token = str(await connection.fetchval("SELECT capture_token FROM projects ORDER BY number LIMIT 1"))
            await connection.close()
            assay, reference = Sink("assay", api.url, url, "events"), Sink("bare", bare, url, "bare_events")
            rates: dict[str, list[float]] = {assay.name: [], reference.name: []}
            for number in range(arguments.rounds + 1):
                for sink in (assay, reference):
                    bodies = make_bodies(token, arguments.events, arguments.batch, seed=number)
                    before = await count(sink)
                    seconds = await send_all(sink.url, bodies)
                    if await count(sink) - before != arguments.events:
                        raise RuntimeError(f"{sink.name} has lost events")
                    # The first round warms up.
                    if number:
                        rates[sink.name].append(arguments.events / seconds)
    ratios = [mine / bare for mine, bare in zip(*rates.values(), strict=True)]
    rows = [
        ["events/s", *(report.spread(rates[name]) for name in rates), report.spread(ratios, ".2f")],
    ]
    report.print_table(["", "Assay: median (least-most)", "bare sink", "ratio"], rows)
    verdict = "kept" if sorted(rates["assay"])[len(rates["assay"]) // 2] >= BUDGET else "missed"
    print(f"Budget of {BUDGET:,} events/s: {verdict}.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.capture", description="Rate of capture.")
    parser.add_argument("--events", type=int, default=20_000, help="of one sink in one round")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    report.print_surroundings(f"Capture, batches of {arguments.batch}, {CLIENTS} clients")
    run_bounded(compare(arguments))


if __name__ == "__main__":
    main()
