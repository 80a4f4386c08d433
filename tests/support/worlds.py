"""A world in which it is known what instructions are worth: a simulated model, and an analyzer that guesses."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from assay.scoring.optimization import Brief, Proposal, Round

CASES = 300
BASELINE = "Answer the question."
HELPFUL = {"Work step by step.": 0.25, "Give only the number.": 0.15, "Check the units.": 0.05}
USELESS = ("Be friendly.", "Use short words.", "You are an expert.", "Think about it.", "Take your time.")


@dataclass
class World:
    """A model whose skill depends on its instructions, and an analyzer that guesses which ones to add."""

    seed: int
    gains: dict[str, float]
    calls: list[tuple[str, tuple[int, ...]]] = field(default_factory=list[tuple[str, tuple[int, ...]]])
    asked: int = 0

    def skill(self, prompt: str) -> float:
        return 0.5 + sum(gain for instruction, gain in self.gains.items() if instruction in prompt)

    async def evaluate(self, prompt: str, cases: Sequence[int], /) -> list[float | None]:
        self.calls.append((prompt, tuple(cases)))
        # Uniform draws, so that a prompt's true score is its skill; seven in ten are the case's own, since hard cases
        # are hard whatever the prompt.
        own = np.random.default_rng(self.seed).random(CASES)
        luck = np.random.default_rng([self.seed, zlib.crc32(prompt.encode())]).random((2, CASES))
        draws = np.where(luck[0] < 0.7, own, luck[1])
        return [float(draws[case] < self.skill(prompt)) for case in cases]

    async def propose(self, brief: Brief, /) -> list[Proposal]:
        draw = random.Random(f"{self.seed}/{brief.round}")
        known = [*self.gains, *USELESS]
        return [Proposal(f"{brief.prompt} {draw.choice(known)}") for _ in range(3)]

    async def note(self, finished: Round, /) -> None:
        self.asked += 1
