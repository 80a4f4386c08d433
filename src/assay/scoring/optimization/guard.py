"""The regression guard: a mean can rise while many cases get worse (O§4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SENSITIVITY: Final = 0.03
"""A case is worse, or better, when its score moved by more than this (3 points of 100)."""
DEFAULT_THRESHOLD: Final = 0.35
_CLEAR_GAIN: Final = 0.005
_MOST_REGRESSED: Final = 0.5
_OUTWEIGHS: Final = 1.2


class GuardVerdict(StrEnum):
    """What the guard says, and by which rule."""

    CLEAR_GAIN = "clear_gain"
    """The mean rose, and at most half of the cases got worse."""
    OUTWEIGHED = "outweighed"
    """Many cases got worse, but others gained clearly more."""
    TOO_MANY_REGRESSIONS = "too_many_regressions"
    FEW_REGRESSIONS = "few_regressions"

    @property
    def passes(self) -> bool:
        """Whether the candidate may be kept."""
        return self is not GuardVerdict.TOO_MANY_REGRESSIONS


@dataclass(frozen=True, slots=True)
class Regression:
    """How many cases moved which way."""

    verdict: GuardVerdict
    worse: int
    better: int
    n: int


def check_regression(
    before: Sequence[float], after: Sequence[float], *, threshold: float = DEFAULT_THRESHOLD
) -> Regression:
    """Compare cases pairwise, in the four steps of O§4.5.

    n = 0: few regressions.

    Args:
        before: Scores of the best so far, 0 to 1, one per case.
        after: Scores of the candidate, in the same order.
        threshold: The share of cases that may get worse without further ado.

    Raises:
        ValueError: Lengths differ.
    """
    moves = [new - old for old, new in zip(before, after, strict=True)]
    if not moves:
        return Regression(GuardVerdict.FEW_REGRESSIONS, 0, 0, 0)
    losses = [-move for move in moves if move < -SENSITIVITY]
    gains = [move for move in moves if move > SENSITIVITY]
    share = len(losses) / len(moves)
    if sum(moves) / len(moves) >= _CLEAR_GAIN and share <= _MOST_REGRESSED:
        verdict = GuardVerdict.CLEAR_GAIN
    elif share > threshold:
        outweighed = sum(gains) > _OUTWEIGHS * sum(losses)
        verdict = GuardVerdict.OUTWEIGHED if outweighed else GuardVerdict.TOO_MANY_REGRESSIONS
    else:
        verdict = GuardVerdict.FEW_REGRESSIONS
    return Regression(verdict, len(losses), len(gains), len(moves))
