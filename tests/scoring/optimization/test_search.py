"""The search on simulated models: it finds what is there, keeps nothing where nothing is, and says how sure it is.

The simulated model answers a case rightly with a probability that depends on which instructions the prompt holds. So
the true gain of a prompt is known, and the search's claims can be checked against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from tests.support.worlds import BASELINE, CASES, HELPFUL, World

from assay.scoring.optimization import (
    Brief,
    Outcome,
    Proposal,
    Reason,
    Round,
    SearchSettings,
    Setting,
    Split,
    search,
    split_items,
)

REPETITIONS = 100


async def run(world: World, **settings: int) -> Outcome:
    keys = [f"case {case}" for case in range(CASES)]
    setting = Setting(split_items(keys, seed=world.seed), keys, [None] * CASES)
    wanted = SearchSettings(seed=world.seed, **settings)
    return await search(BASELINE, setting, wanted, evaluate=world.evaluate, propose=world.propose, note=world.note)


async def test_a_better_prompt_is_found_and_its_gain_is_told_truly() -> None:
    right = found = 0
    for seed in range(REPETITIONS):
        world = World(seed, HELPFUL)
        outcome = await run(world, rounds=6, patience=0)
        if not outcome.improved:
            continue
        assert outcome.sealed is not None
        interval = outcome.sealed.gain.interval
        assert interval is not None
        true_gain = world.skill(outcome.winner) - world.skill(BASELINE)
        assert true_gain > 0
        found += 1
        right += interval.low <= true_gain <= interval.high

    assert right >= 90, found


async def test_where_no_prompt_helps_nothing_is_kept() -> None:
    outcomes = [await run(World(seed, {}), rounds=6, patience=0) for seed in range(REPETITIONS)]

    assert sum(not outcome.improved for outcome in outcomes) >= 95
    assert sum(not any(finished.kept for finished in outcome.rounds) for outcome in outcomes) >= 95


async def test_the_sealed_cases_are_looked_at_once_and_last() -> None:
    world = World(3, HELPFUL)
    outcome = await run(world, rounds=6, patience=0)
    split = split_items([f"case {case}" for case in range(CASES)], seed=3)

    sealed = [prompt for prompt, cases in world.calls if cases == split.test]
    assert sealed == [BASELINE, outcome.winner]
    assert world.calls[-2:] == [(BASELINE, split.test), (outcome.winner, split.test)]
    assert {cases for _, cases in world.calls} == {split.train, split.validation, split.test}


async def test_without_a_keep_the_sealed_cases_stay_sealed() -> None:
    world = World(4, {})
    outcome = await run(world, rounds=6, patience=0)
    split = split_items([f"case {case}" for case in range(CASES)], seed=4)

    assert outcome.sealed is None
    assert split.test not in {cases for _, cases in world.calls}


async def test_patience_ends_the_search() -> None:
    world = World(5, {})
    outcome = await run(world, rounds=6, patience=2)

    assert (len(outcome.rounds), outcome.stopped_early, world.asked) == (2, True, 2)


@dataclass
class Script:
    """Says what each prompt scores, and proposes from a list."""

    scores: dict[str, list[float | None]]
    proposals: list[list[str]]

    async def evaluate(self, prompt: str, cases: Sequence[int], /) -> list[float | None]:
        return [self.scores[prompt][case] for case in cases]

    async def propose(self, brief: Brief, /) -> list[Proposal]:
        assert [case for case, _ in brief.train] == [0, 1]
        return [Proposal(prompt) for prompt in self.proposals[brief.round - 1]]

    async def note(self, finished: Round, /) -> None:
        pass


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ([1.0] * 26, Reason.KEPT),
        ([0.0] * 26, Reason.NOT_BETTER_ON_TRAIN),
        ([1.0, 1.0, *[0.0] * 24], Reason.NOT_SIGNIFICANT),
        ([1.0, 1.0, *[1.0] * 5, *[None] * 19], Reason.TOO_FEW_SCORED),
        ([None] * 26, Reason.NOT_BETTER_ON_TRAIN),
    ],
    ids=lambda value: value if isinstance(value, Reason) else "",
)
async def test_why_a_candidate_is_kept_or_not(candidate: list[float | None], reason: Reason) -> None:
    script = Script({"base": [0.0] * 26, "new": candidate}, [["new"]])
    split = Split(train=(0, 1), validation=tuple(range(2, 22)), test=tuple(range(22, 26)))
    setting = Setting(split, [str(case) for case in range(26)], [None] * 26)

    outcome = await search(
        "base",
        setting,
        SearchSettings(rounds=1),
        evaluate=script.evaluate,
        propose=script.propose,
        note=script.note,
    )

    assert [finished.reason for finished in outcome.rounds] == [reason]
    assert outcome.improved is (reason is Reason.KEPT)


async def test_what_was_tried_or_copies_answers_is_not_tried() -> None:
    script = Script({"base": [0.0] * 6}, [["base", " base ", ""], ["The answer to case five is wellington."]])
    split = Split(train=(0, 1), validation=(2, 3), test=(4, 5))
    setting = Setting(split, list("abcdef"), [None, None, None, None, None, "Wellington"])

    outcome = await search(
        "base",
        setting,
        SearchSettings(rounds=2),
        evaluate=script.evaluate,
        propose=script.propose,
        note=script.note,
    )

    assert [finished.reason for finished in outcome.rounds] == [Reason.NO_PROPOSAL, Reason.COPIED_ANSWERS]
    assert outcome.rounds[1].candidates[0].copied == 1
