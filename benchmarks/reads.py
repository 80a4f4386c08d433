"""Latency of lists and details with few and with many samples in the database, in turns.

    uv run python -m benchmarks.reads

Two databases of one server hold 10,000 and 1,000,000 samples, and a hundredth as many runs. Each has an API process of
its own. Every read is asked of one, then of the other, so that both meet the same machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
from benchmarks import report
from benchmarks.filling import MODELS, TASKS, Filled, fill
from benchmarks.rig import Client, Role, node, run_bounded, services, throwaway_home

BUDGET = 1.5


@dataclass(frozen=True, slots=True)
class Read:
    """A request."""

    name: str
    path: str
    query: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Place:
    """A filled database behind an API."""

    client: Client
    reads: tuple[Read, ...]


def list_reads(suite_id: str, filled: Filled) -> tuple[Read, ...]:
    """What is read, of one database."""
    run = f"/evals/runs/eval_run_{filled.run_id.hex}"
    samples = f"{run}/samples"
    scored = {"score_metric": "f1", "score_min": 0.5}
    return (
        Read("runs, first page", "/evals/runs", {}),
        Read("runs of a suite", "/evals/runs", {"suite_id": suite_id}),
        Read("failed runs", "/evals/runs", {"status": "failed"}),
        Read("queued runs (none)", "/evals/runs", {"status": "queued"}),
        Read("run", run, {}),
        Read("overview", f"{run}/overview", {"metric": "exact_match"}),
        Read("samples, first page", samples, {}),
        Read("samples, deep page", samples, {"after": f"eval_sample_{filled.deep_sample_id.hex}"}),
        Read("failed samples", samples, {"status": "failed"}),
        Read("completed samples", samples, {"status": "completed"}),
        Read("queued samples (none)", samples, {"status": "queued"}),
        Read("samples of the second task", samples, {"task_id": TASKS[1]}),
        Read("samples of the second model", samples, {"model": MODELS[1]}),
        Read("samples of both", samples, {"task_id": TASKS[1], "model": MODELS[1]}),
        Read("samples with index 7 and 1234", samples, {"sample_index": "7,1234"}),
        Read("samples by score, half of them match", samples, {key: str(value) for key, value in scored.items()}),
        Read("samples by score, none match", samples, {"score_metric": "f1", "score_min": "2"}),
    )


@asynccontextmanager
async def open_place(home: Path, settings: Mapping[str, str], name: str, samples: int) -> AsyncGenerator[Place]:
    """A database of its own with samples, and an API on it."""
    url = await make_database(settings["ASSAY_DATABASE_URL"], name)
    async with (
        node(Role.API, home, settings={**settings, "ASSAY_DATABASE_URL": url, "OPENAI_API_KEY": "sk-x"}) as api,
        Client(api.url) as client,
    ):
        suite_id = await client.create_suite("benchmark", [{"question": "1 + 1?", "answer": "2"}], tasks=TASKS)
        started = time.perf_counter()
        filled = await fill(url, UUID(suite_id.rsplit("_", 1)[-1]), samples)
        print(f"- {samples:,} samples filled in {time.perf_counter() - started:.0f} s", flush=True)
        yield Place(client, list_reads(suite_id, filled))


async def make_database(url: str, name: str) -> str:
    """A new database of the same server; gives its address."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def time_read(place: Place, number: int) -> float:
    """Milliseconds of one request."""
    read = place.reads[number]
    started = time.perf_counter()
    await place.client.get(read.path, **read.query)
    return (time.perf_counter() - started) * 1000


async def compare(arguments: argparse.Namespace) -> None:
    """Fill both databases, read from them in turns, and print medians."""
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(throwaway_home())
        settings = await stack.enter_async_context(services(home))
        places = [
            await stack.enter_async_context(open_place(home / str(samples), settings, f"filled_{samples}", samples))
            for samples in arguments.samples
        ]
        print()
        lines: list[list[str]] = []
        for number, read in enumerate(places[0].reads):
            for place in places:
                await time_read(place, number)
            times = [[await time_read(place, number) for place in places] for _ in range(arguments.repeats)]
            few, many = ([pair[side] for pair in times] for side in (0, 1))
            ratio = statistics.median(many) / statistics.median(few)
            verdict = "" if ratio <= BUDGET else "over"
            lines.append([read.name, report.spread(few, ".1f"), report.spread(many, ".1f"), f"{ratio:.2f}", verdict])
    head = ["", *(f"ms at {samples:,}: median (least-most)" for samples in arguments.samples), "ratio", "1.5 times"]
    report.print_table(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.reads", description="Latency of reads.")
    parser.add_argument("--samples", type=int, nargs=2, default=[10_000, 1_000_000], metavar=("FEW", "MANY"))
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    report.print_surroundings("Reads")
    run_bounded(compare(arguments))


if __name__ == "__main__":
    main()
