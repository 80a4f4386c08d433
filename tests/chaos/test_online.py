"""SIGKILL to the worker that judges production traffic: each event has one outcome for each evaluator, and one event
that tells of it; a call of a model that was recorded is not made again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.evals import Evals, dispatching, kill, open_evals, spawn_worker
from tests.support.model_server import Behaviour, ModelServer
from tests.support.online import Traffic, generation, hog, judge
from tests.support.waiting import eventually

from assay.core.evaluators.types import Evaluator

CALLS_IN_FLIGHT = 64
BATCH = 100
TENTH: list[dict[str, Any]] = [{"id": "tenth", "rollout_percentage": 10, "properties": []}]


def verdict(prompt: str, body: Mapping[str, Any]) -> str:
    """A judge's reply."""
    return json.dumps({"reasoning": "r", "verdict": True})


@pytest.fixture
async def models() -> AsyncIterator[ModelServer]:
    async with ModelServer(Behaviour(reply=verdict, latency_seconds=0.05)) as server:
        yield server


@pytest.fixture
async def evals(database_url: str, temporal_address: str, tmp_path: Path, models: ModelServer) -> AsyncIterator[Evals]:
    async with open_evals(
        database_url=database_url,
        temporal_address=temporal_address,
        home=tmp_path,
        models=models,
        secret_key="a secret for keys",
    ) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Load:
    """How much is sent, and after how many outcomes the worker is killed."""

    events: int
    kills: tuple[int, ...]
    patience: float


SMALL = Load(1_000, (150, 500), 120)
LARGE = Load(50_000, (8_000, 30_000), 1_200)


@pytest.mark.timeout(300)
async def test_a_worker_killed_twice(evals: Evals, models: ModelServer) -> None:
    await check_load(evals, models, SMALL)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_a_worker_killed_twice_under_load(evals: Evals, models: ModelServer) -> None:
    await check_load(evals, models, LARGE)


async def check_load(evals: Evals, models: ModelServer, load: Load) -> None:
    traffic = Traffic(evals)
    program = await traffic.evaluator(hog("return output =~ 'fine'"), name="program")
    judging = await traffic.evaluator(judge(await traffic.key()), conditions=TENTH, name="judge")
    async with dispatching(evals):
        sending = asyncio.gather(*(send(traffic, client, load.events // 2) for client in range(2)))
        for killed_at in load.kills:
            worker = await spawn_worker(evals.place)
            await eventually(lambda at=killed_at: at_least(evals, at), timeout=load.patience)
            await kill(worker)
        worker = await spawn_worker(evals.place)
        try:
            await sending
            await eventually(lambda: all_settled(traffic, load.events * 2), timeout=load.patience)
        finally:
            await kill(worker)
    await check_exactly_once(evals, program, judging, models, load)


async def send(traffic: Traffic, client: int, count: int) -> None:
    """One client: batches one after the other."""
    for first in range(0, count, BATCH):
        batch = [generation(f"fine {client} {number}") for number in range(first, min(first + BATCH, count))]
        await traffic.send(*batch)


async def at_least(evals: Evals, count: int) -> bool:
    """Whether so many entries were carried out."""
    query = text("SELECT count(*) FROM online_evaluations WHERE outcome = 'scored'")
    async with evals.runtime.sessions() as session:
        return (await session.execute(query)).scalar_one() >= count


async def all_settled(traffic: Traffic, count: int) -> bool:
    """Whether all entries are there and have outcomes."""
    query = text("SELECT count(*) FILTER (WHERE state = 'done') FROM online_evaluations")
    async with traffic.sessions() as session:
        done = (await session.execute(query)).scalar_one()
    assert done == count, f"{done} of {count}"
    return True


async def check_exactly_once(
    evals: Evals, program: Evaluator, judging: Evaluator, models: ModelServer, load: Load
) -> None:
    entries = text(
        """
        SELECT evaluator_id, outcome, count(*), count(DISTINCT subject) FROM online_evaluations
        GROUP BY evaluator_id, outcome
        """
    )
    told = text(
        """
        SELECT properties ->> '$ai_evaluation_id' AS evaluator, count(*),
               count(DISTINCT properties ->> '$ai_target_id')
        FROM events WHERE event = '$ai_evaluation' GROUP BY 1
        """
    )
    async with evals.runtime.sessions() as session:
        found = {(row[0], row[1]): (row[2], row[3]) for row in await session.execute(entries)}
        results = {row[0]: (row[1], row[2]) for row in await session.execute(told)}
    judged, once = found[judging.id, "scored"]
    left_out, _ = found[judging.id, "sampled_out"]
    assert found[program.id, "scored"] == (load.events, load.events)
    assert judged == once
    assert judged + left_out == load.events
    # Twelve standard deviations of a tenth of the events.
    assert abs(judged - load.events / 10) < 12 * (load.events * 0.09) ** 0.5
    assert results[str(program.id)] == (load.events, load.events)
    assert results[str(judging.id)] == (judged, judged)
    assert len(found) == 3
    # What was in flight at a kill is asked again, and nothing that was recorded.
    asked_again = models.stats.requests - judged
    assert 0 <= asked_again <= len(load.kills) * CALLS_IN_FLIGHT * 4
