"""Throughput of a whole evaluation run against a bare loop on the same endpoint, in turns.

    uv run python -m benchmarks.eval_run

Each round lets the bare loop ask all prompts, then has Assay run a suite of the same prompts without its cache, with a
cache that knows none of them, and with one that knows all. What is compared is the ratio within a round, because both
sides then meet the same machine at nearly the same moment.

| time | from | to |
|---|---|---|
| whole run | the client sends ``POST /runs`` | the run is ``completed``, by its time stamp on the same clock |
| execution | the first call to a model starts | the last sample is settled |
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import asyncpg
from benchmarks import report
from benchmarks.bare_loop import ask_all
from benchmarks.rig import Client, Role, model_server, node, run_bounded, services, throwaway_home

IN_FLIGHT = 64


class Contestant(StrEnum):
    """Who does the work of a round."""

    BARE = "bare loop"
    FRESH = "Assay, cache off"
    FIRST = "Assay, first time"
    """With the response cache, as is the default: every prompt is looked up, asked for, and kept."""
    CACHED = "Assay, all cached"


_RUNS = ((Contestant.FRESH, False), (Contestant.FIRST, True), (Contestant.CACHED, True))


@dataclass(frozen=True, slots=True)
class Result:
    """How fast a contestant was."""

    whole: float
    """Samples a second, over the whole run."""
    execution: float
    """Samples a second, over the execution alone."""
    phases: Mapping[str, float]
    """Seconds by name."""


_PHASES = """
    SELECT extract(epoch FROM r.started_at - r.created_at)::float8 AS prepare,
           extract(epoch FROM min(s.started_at) - r.started_at)::float8 AS start,
           extract(epoch FROM max(s.completed_at) - min(s.started_at))::float8 AS execution,
           extract(epoch FROM r.completed_at - max(s.completed_at))::float8 AS finish,
           extract(epoch FROM r.completed_at)::float8 AS ended
    FROM runs r JOIN run_samples s ON s.run_id = r.id
    WHERE r.id = $1 GROUP BY r.id
"""


async def read_phases(database_url: str, run_id: str) -> dict[str, float]:
    """Seconds of a run's phases, by the time stamps of its rows."""
    connection = await asyncpg.connect(database_url)
    try:
        row = await connection.fetchrow(_PHASES, UUID(run_id.rsplit("_", 1)[-1]))
    finally:
        await connection.close()
    if row is None:
        raise RuntimeError(f"run {run_id} is not in the database")
    return dict(row.items())


def make_rows(number: int, samples: int) -> list[dict[str, str]]:
    """Questions of a round, which the mock provider answers correctly."""
    return [
        {"question": f"Round {number}, question {index}: answer={index}", "answer": str(index)}
        for index in range(samples)
    ]


async def compare(arguments: argparse.Namespace, latency_seconds: float) -> None:
    """Run the rounds of one latency and print them."""
    async with (
        throwaway_home() as home,
        services(home) as settings,
        model_server(latency_seconds=latency_seconds) as model_url,
        node(Role.SERVE, home, settings={**settings, "OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": model_url}) as assay,
        Client(assay.url) as client,
    ):
        track = Track(client, settings["ASSAY_DATABASE_URL"], model_url, arguments.samples)
        await track.round(0)
        rounds = [await track.round(number) for number in range(1, arguments.rounds + 1)]
    _print_rounds(f"{latency_seconds * 1000:g} ms", rounds)


@dataclass(frozen=True, slots=True)
class Track:
    """Where rounds are run."""

    client: Client
    database_url: str
    model_url: str
    samples: int

    async def round(self, number: int) -> dict[Contestant, Result]:
        """Let every contestant do the same work once, each round on prompts that nobody has seen before."""
        rows = make_rows(number, self.samples)
        suite_id = await self.client.create_suite(f"round {number}", rows)
        seconds = await ask_all(self.model_url, [row["question"] for row in rows], in_flight=IN_FLIGHT)
        results = {Contestant.BARE: Result(self.samples / seconds, self.samples / seconds, {})}
        request = {"suite_id": suite_id, "models": ["openai/m"], "concurrency": IN_FLIGHT}
        for contestant, use_cache in _RUNS:
            started = time.time()
            run_id = await self.client.run_to_end({**request, "generation": {"use_cache": use_cache}})
            phases = await read_phases(self.database_url, run_id)
            seconds = phases.pop("ended") - started
            results[contestant] = Result(self.samples / seconds, self.samples / phases["execution"], phases)
        return results


def _print_rounds(title: str, rounds: Sequence[Mapping[Contestant, Result]]) -> None:
    print(f"### Model latency {title}\n")
    lines: list[list[str]] = []
    for contestant in Contestant:
        for part in ("whole", "execution")[: 1 if contestant is Contestant.BARE else 2]:
            rates: list[float] = [getattr(results[contestant], part) for results in rounds]
            ratios = [rate / results[Contestant.BARE].whole for rate, results in zip(rates, rounds, strict=True)]
            lines.append([contestant.value, part, report.spread(rates), report.spread(ratios, ".2f")])
    report.print_table(["", "", "samples/s: median (least-most)", "of the bare loop"], lines)
    for contestant, _ in _RUNS:
        phases = [results[contestant].phases for results in rounds]
        parts = [f"{name} {statistics.median(each[name] for each in phases) * 1000:.0f}" for name in phases[0]]
        print(f"- {contestant.value}: {', '.join(parts)} ms")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.eval_run", description="Throughput of evaluation runs.")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--latency", type=float, nargs="+", default=[0.05, 0.0], help="seconds")
    arguments = parser.parse_args()
    report.print_surroundings(f"Evaluation runs: {arguments.samples} samples, exact match, {IN_FLIGHT} in flight")
    for latency_seconds in arguments.latency:
        run_bounded(compare(arguments, latency_seconds))


if __name__ == "__main__":
    main()
