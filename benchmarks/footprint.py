"""How much memory the processes hold, and how long an installation takes to its first answer.

    uv run python -m benchmarks.footprint

A cold start makes a new home: databases are created, migrated and given a first key. A warm start finds all of that.
Both count from the start of the process to the first 200 of ``/readyz``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import psutil
from benchmarks import report
from benchmarks.eval_run import IN_FLIGHT, make_rows
from benchmarks.rig import Client, Node, Role, is_service, model_server, node, run_bounded, services, throwaway_home


async def measure_memory(samples: int) -> None:
    """Memory of API and worker as two processes and as one, before and after a run."""
    lines: list[list[str]] = []
    async with throwaway_home() as home, services(home) as addresses, model_server(latency_seconds=0) as model_url:
        settings = {**addresses, "OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": model_url}
        async with node(Role.API, home, settings=settings) as api, node(Role.WORKER, home, settings=settings) as worker:
            parts = {"API": api, "worker": worker}
            await _before_and_after(lines, api, parts, samples)
        async with node(Role.SERVE, home, settings=settings) as both:
            await _before_and_after(lines, both, {"API and worker in one process": both}, samples)
    head = ["RSS MiB (PSS)", "started", f"after a run of {samples:,}", f"after a second, of {samples * 10:,}"]
    report.print_table(head, lines)


async def _before_and_after(lines: list[list[str]], api: Node, parts: dict[str, Node], samples: int) -> None:
    measured = {name: [_memory(part)] for name, part in parts.items()}
    async with Client(api.url) as client:
        for count in (samples, samples * 10):
            suite_id = await client.create_suite("memory", make_rows(count, count))
            await client.run_to_end({"suite_id": suite_id, "models": ["openai/m"], "concurrency": IN_FLIGHT})
            for name, part in parts.items():
                measured[name].append(_memory(part))
    lines.extend([name, *values] for name, values in measured.items())


def _memory(part: Node) -> str:
    rss, pss = part.memory()
    return f"{rss:.0f} ({pss:.0f})"


async def measure_starts(repeats: int) -> None:
    """Seconds to the first answer, of fresh homes and of the same ones again."""
    seconds: dict[str, list[float]] = {"cold": [], "warm": []}
    memory = {"Assay": 0.0, "PostgreSQL and Temporal": 0.0}
    for _ in range(repeats):
        async with throwaway_home() as home:
            for kind in seconds:
                seconds[kind].append(await _start(home, memory))
    lines = [[f"{kind} start", f"{report.spread(values, '.2f')} s"] for kind, values in seconds.items()]
    lines += [[f"PSS after the start, {name}", f"{size:.0f} MiB"] for name, size in memory.items()]
    report.print_table(["", "median (least-most)"], lines)


async def _start(home: Path, memory: dict[str, float]) -> float:
    started = time.perf_counter()
    async with node(Role.SERVE, home, settings={}) as assay:
        seconds = time.perf_counter() - started
        children = psutil.Process(assay.pid).children(recursive=True)
        memory["Assay"] = assay.memory()[1]
        memory["PostgreSQL and Temporal"] = (
            sum(child.memory_full_info().pss for child in children if is_service(child)) / 2**20
        )
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.footprint", description="Memory and start-up time.")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    report.print_surroundings("Footprint")
    run_bounded(measure_starts(arguments.repeats))
    run_bounded(measure_memory(arguments.samples))


if __name__ == "__main__":
    main()
