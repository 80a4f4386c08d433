"""Production traffic judged as it arrives: what judging costs capture, how fast verdicts come, and how late they are.

    uv run python -m benchmarks.online

One process holds API and worker; two clients send batches. A program judges every event, a model a tenth of them at a
mock provider. In every round the same number of events is sent with the evaluations switched off and switched on, so
that the ratio says what the ledger costs capture. Then events come at a steady pace, and the lag of their verdicts is
read from the ledger: from the entry, which is written with the event, to its outcome.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import orjson
from benchmarks import report
from benchmarks.capture import CLIENTS, IN_FLIGHT, make_event, send_all
from benchmarks.rig import API_KEY, Role, model_server, node, run_bounded, services, throwaway_home

JUDGE_LATENCY_SECONDS = 0.05
JUDGED_PERCENT = 10
LOOPBACK = "127.0.0.1"
VERDICT = 'answer={"reasoning":"short","verdict":true}'
"""The mock provider answers with what follows ``answer=`` in the prompt."""
_SETTLED = "SELECT count(*) FROM online_evaluations WHERE state <> 'done'"
_OUTCOMES = "SELECT outcome, count(*) FROM online_evaluations WHERE created_at >= $1 GROUP BY 1"
_LAGS = """
    SELECT e.kind AS kind, extract(epoch FROM o.finished_at - o.created_at)::float8 AS lag
    FROM online_evaluations o JOIN evaluators e ON e.id = o.evaluator_id
    WHERE o.outcome = 'scored' AND o.created_at >= $1
"""


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one kind of round, by round; per second."""

    alone: list[float] = field(default_factory=list[float])
    judged: list[float] = field(default_factory=list[float])
    verdicts: list[float] = field(default_factory=list[float])


@dataclass(frozen=True, slots=True)
class Bench:
    """A server with two evaluations, and where its events go."""

    http: aiohttp.ClientSession
    url: str
    token: str
    database: asyncpg.Connection[Any]
    evaluations: Sequence[str]

    def bodies(self, events: int, batch: int, seed: int) -> list[bytes]:
        """Batches of generations whose judge will be answered with a verdict."""
        draw = random.Random(seed)
        items = [make_event(draw, number) for number in range(events)]
        for item in items:
            item["properties"]["$ai_output_choices"] = f"It is short. {VERDICT}"
        parts = (items[start : start + batch] for start in range(0, events, batch))
        return [orjson.dumps({"api_key": self.token, "batch": part}) for part in parts]

    async def switch(self, *, enabled: bool) -> None:
        """Switch both evaluations on or off."""
        for evaluation in self.evaluations:
            path = f"{self.url}/api/environments/@current/evaluations/{evaluation}/"
            async with self.http.patch(path, json={"enabled": enabled}) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"HTTP {answer.status}: {await answer.text()}")

    async def now(self) -> Any:
        """The database's time."""
        return await self.database.fetchval("SELECT clock_timestamp()")

    async def settle(self) -> None:
        """Wait until every entry has its outcome."""
        async with asyncio.timeout(300):
            while await self.database.fetchval(_SETTLED):
                await asyncio.sleep(0.05)

    async def check(self, since: Any, events: int) -> int:
        """How many verdicts there are.

        Raises:
            RuntimeError: An event was lost, or was not judged.
        """
        found = {row["outcome"]: row["count"] for row in await self.database.fetch(_OUTCOMES, since)}
        if sum(found.values()) != 2 * events or set(found) - {"scored", "sampled_out"}:
            raise RuntimeError(f"{events} events have the outcomes {found}")
        return int(found["scored"])


async def make_key(http: aiohttp.ClientSession, url: str, model_url: str) -> str:
    """A provider key that leads to the mock provider; gives its id."""
    body = {"provider": "openai", "name": "mock", "api_key": "sk-benchmark-0123456789", "base_url": model_url}
    return await _created(http, f"{url}/api/environments/@current/llm_analytics/provider_keys/", body)


async def _created(http: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> str:
    async with http.post(url, json=body) as answer:
        made = await answer.json()
        if answer.status != 201:
            raise RuntimeError(f"HTTP {answer.status}: {made}")
        return made["id"]


async def make_evaluation(http: aiohttp.ClientSession, url: str, body: dict[str, Any], percent: int) -> str:
    """Make an evaluation of a share of the generations; gives its id."""
    conditions: list[dict[str, Any]] = [{"id": "some", "rollout_percentage": percent, "properties": []}]
    body |= {"output_type": "boolean", "conditions": conditions, "enabled": False}
    return await _created(http, f"{url}/api/environments/@current/evaluations/", body)


async def bursts(bench: Bench, arguments: argparse.Namespace) -> Rates:
    """As many events as are taken, without and with evaluations; the first round warms up."""
    rates = Rates()
    for number in range(arguments.rounds + 1):
        await bench.switch(enabled=False)
        alone = arguments.events / await send_all(bench.url, bench.bodies(arguments.events, arguments.batch, number))
        await bench.switch(enabled=True)
        since, started = await bench.now(), time.perf_counter()
        bodies = bench.bodies(arguments.events, arguments.batch, number)
        judged = arguments.events / await send_all(bench.url, bodies)
        await bench.settle()
        verdicts = await bench.check(since, arguments.events) / (time.perf_counter() - started)
        if number:
            rates.alone.append(alone)
            rates.judged.append(judged)
            rates.verdicts.append(verdicts)
    return rates


async def pace(bench: Bench, rate: int, seconds: int) -> dict[str, list[float]]:
    """Seconds from event to verdict by kind of evaluation, at so many events a second in batches of ten."""
    bodies = bench.bodies(rate * seconds, 10, seed=99)
    since, started = await bench.now(), time.perf_counter()
    async with asyncio.TaskGroup() as sending:
        for number, body in enumerate(bodies):
            await asyncio.sleep(max(0.0, started + number * 10 / rate - time.perf_counter()))
            sending.create_task(_send(bench, body))
    await bench.settle()
    await bench.check(since, rate * seconds)
    lags: dict[str, list[float]] = {}
    for row in await bench.database.fetch(_LAGS, since):
        lags.setdefault(row["kind"], []).append(row["lag"])
    return {kind: sorted(values) for kind, values in lags.items()}


async def _send(bench: Bench, body: bytes) -> None:
    async with bench.http.post(f"{bench.url}/batch/", data=body) as answer:
        answer.raise_for_status()


async def measure(arguments: argparse.Namespace) -> None:
    """Both parts, printed."""
    async with (
        throwaway_home() as home,
        services(home) as settings,
        model_server(latency_seconds=JUDGE_LATENCY_SECONDS) as model_url,
        node(Role.SERVE, home, settings={**settings, "ASSAY_OUTBOUND_ALLOW_HOSTS": LOOPBACK}) as assay,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {API_KEY}"}) as http,
    ):
        database = await asyncpg.connect(settings["ASSAY_DATABASE_URL"])
        try:
            token = str(await database.fetchval("SELECT capture_token FROM projects ORDER BY number LIMIT 1"))
            source = "return output =~ 'short'"
            program = {"name": "p", "evaluation_type": "hog", "evaluation_config": {"source": source}}
            key_id = await make_key(http, assay.url, model_url)
            judge = {
                "name": "j",
                "evaluation_type": "llm_judge",
                "evaluation_config": {"prompt": "Is it short?"},
                "model_configuration": {"provider": "openai", "model": "gpt-5-mini", "provider_key_id": key_id},
            }
            made = [
                await make_evaluation(http, assay.url, program, 100),
                await make_evaluation(http, assay.url, judge, JUDGED_PERCENT),
            ]
            bench = Bench(http, assay.url, token, database, made)
            rates = await bursts(bench, arguments)
            lags = await pace(bench, arguments.pace, arguments.seconds)
        finally:
            await database.close()
    print_rates(rates)
    print(
        f"{arguments.pace} events a second for {arguments.seconds} s, batches of ten; seconds from event to verdict:\n"
    )
    rows = [
        [kind, str(len(values)), *(f"{values[int(share * (len(values) - 1))]:.2f}" for share in (0.5, 0.95, 0.99, 1))]
        for kind, values in sorted(lags.items())
    ]
    report.print_table(["evaluation", "verdicts", "p50", "p95", "p99", "most"], rows)


def print_rates(rates: Rates) -> None:
    """What was reached in the bursts."""
    ratios = [judged / alone for judged, alone in zip(rates.judged, rates.alone, strict=True)]
    head = ["", "per second: median (least-most)", "of capture alone"]
    rows = [
        ["events captured, evaluations off", report.spread(rates.alone), "1"],
        ["events captured, evaluations on", report.spread(rates.judged), report.spread(ratios, ".2f")],
        ["verdicts, until the last is there", report.spread(rates.verdicts), ""],
    ]
    report.print_table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.online", description="Online evaluation: rates and lag.")
    parser.add_argument("--events", type=int, default=5_000, help="of one burst")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pace", type=int, default=200, help="events a second of the steady part")
    parser.add_argument("--seconds", type=int, default=30, help="of the steady part")
    arguments = parser.parse_args()
    report.print_surroundings(
        f"Online evaluation: bursts of {arguments.events:,} events in batches of {arguments.batch}, {CLIENTS} clients "
        f"with {IN_FLIGHT} requests in flight each; a program on every event, a judge on {JUDGED_PERCENT} %"
    )
    run_bounded(measure(arguments))


if __name__ == "__main__":
    main()
