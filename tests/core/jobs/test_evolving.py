"""GEPA as a proposer, on simulated models: it finds what is there, asks no more than it may, and stops when told to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from tests.support.worlds import BASELINE, CASES, HELPFUL, USELESS, World

from assay.core.jobs.work.evolving import evolve
from assay.core.jobs.work.faults import JobStoppedError
from assay.scoring.optimization import Brief, Outcome, Proposal, SearchSettings, Setting, search, split_items

REPETITIONS = 25
WIDTH = 3


class Evolving:
    """A search whose proposals come from GEPA."""

    def __init__(self, seed: int, gains: dict[str, float]) -> None:
        self.world = World(seed, gains)
        self.seed = seed
        self.asked: list[tuple[int, int]] = []

    async def propose(self, brief: Brief, /) -> list[Proposal]:
        draw = random.Random(f"{self.seed}/{brief.round}")

        async def reflect(place: int, prompt: str, train: Sequence[tuple[int, float | None]]) -> Proposal | None:
            self.asked.append((brief.round, place))
            assert {case for case, _ in train} <= {case for case, _ in brief.train}, "it sees training cases only"
            instruction = draw.choice([*self.world.gains, *USELESS])
            return Proposal(f"{prompt} {instruction}", instruction)

        seed = self.seed + brief.round
        return await evolve(brief, evaluate=self.world.evaluate, reflect=reflect, width=WIDTH, seed=seed)

    async def run(self) -> Outcome:
        keys = [f"case {case}" for case in range(CASES)]
        setting = Setting(split_items(keys, seed=self.seed), keys, [None] * CASES)
        settings = SearchSettings(rounds=4, patience=0, seed=self.seed)
        return await search(
            BASELINE, setting, settings, evaluate=self.world.evaluate, propose=self.propose, note=self.world.note
        )


async def test_it_finds_what_is_there_and_keeps_nothing_where_nothing_is() -> None:
    found = kept = 0
    for seed in range(REPETITIONS):
        evolving = Evolving(seed, HELPFUL)
        outcome = await evolving.run()
        found += outcome.improved
        if outcome.improved:
            assert evolving.world.skill(outcome.winner) > evolving.world.skill(BASELINE)
        assert evolving.asked == [(number, place) for number in range(1, 5) for place in range(WIDTH)]
        kept += (await Evolving(seed, {}).run()).improved
    assert found >= 0.7 * REPETITIONS
    assert kept <= 0.1 * REPETITIONS


async def test_it_does_the_same_again() -> None:
    first, second = Evolving(1, HELPFUL), Evolving(1, HELPFUL)

    assert (await first.run()).winner == (await second.run()).winner
    assert first.world.calls == second.world.calls, "or a worker that takes over would ask anew"


@pytest.mark.parametrize("useless", ["", None])
async def test_an_analyzer_without_ideas_ends_the_round(useless: str | None) -> None:
    async def reflect(place: int, prompt: str, train: Sequence[tuple[int, float | None]]) -> Proposal | None:
        return None if useless is None else Proposal(prompt)

    brief = Brief(1, BASELINE, [(case, 0.0) for case in range(20)], ())

    assert await evolve(brief, evaluate=World(1, {}).evaluate, reflect=reflect, width=2, seed=1) == []


@pytest.mark.parametrize("who", ["evaluate", "reflect"])
async def test_what_stops_the_job_stops_the_search(who: str) -> None:
    world, asked = World(1, HELPFUL), 0

    async def evaluate(prompt: str, cases: Sequence[int]) -> Sequence[float | None]:
        if who == "evaluate":
            raise JobStoppedError
        return await world.evaluate(prompt, cases)

    async def reflect(place: int, prompt: str, train: Sequence[tuple[int, float | None]]) -> Proposal | None:
        nonlocal asked
        asked += 1
        raise JobStoppedError

    brief = Brief(1, BASELINE, [(case, 0.0) for case in range(20)], ())

    with pytest.raises(JobStoppedError):
        await evolve(brief, evaluate=evaluate, reflect=reflect, width=5, seed=1)
    assert asked <= 1


async def test_a_cancelled_search_cancels_what_it_waits_for() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def evaluate(prompt: str, cases: Sequence[int]) -> Sequence[float | None]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return []

    async def reflect(place: int, prompt: str, train: Sequence[tuple[int, float | None]]) -> Proposal | None:
        return None

    brief = Brief(1, BASELINE, [(case, 0.0) for case in range(20)], ())
    task = asyncio.ensure_future(evolve(brief, evaluate=evaluate, reflect=reflect, width=5, seed=1))
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(cancelled.wait(), 10)
