"""Several paired comparisons read together: with every further one, chance has a further chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from assay.scoring.multiplicity import holm_adjusted
from assay.scoring.power import DEFAULT_ALPHA, items_needed
from assay.scoring.verdicts import Comparison, Verdict, compare_paired

_FLIPS_AT_MOST: Final = 9_999
_FLIPS_AT_LEAST: Final = 999
_SIGNS: Final = 50_000_000
"""Signs that all tests together may draw: what a caller can wait for."""


@dataclass(frozen=True)
class PairedScores:
    """Scores of baseline and candidate on the same items, in the same order."""

    baseline: Sequence[float]
    candidate: Sequence[float]
    higher_is_better: bool = True


@dataclass(frozen=True)
class AdjustedComparison:
    """A comparison among others."""

    comparison: Comparison
    """Its verdict holds for all of them together; its p and interval are its own."""
    adjusted_p: float | None


def compare_all(
    pairs: Sequence[PairedScores], *, alpha: float = DEFAULT_ALPHA, effect: float | None = None, seed: int = 0
) -> list[AdjustedComparison]:
    """`compare_paired` for each, with verdicts that err in any of them in at most ``alpha`` of cases.

    A verdict stands if p, adjusted by `holm_adjusted` over all comparisons that have one, is at most ``alpha``. Where
    it does not, ``more_items`` is what Bonferroni's share ``alpha / k`` asks for, which Holm's never exceeds. With very
    many items fewer sign patterns are drawn, 999 at least.

    n = 0, 1 and 2: as `compare_paired`; a comparison without items has no p and takes no share of ``alpha``.

    Args:
        pairs: One for each task, or metric.
        alpha: The allowed rate of false positives.
        effect: See `compare_paired`.
        seed: Of all draws.

    Raises:
        ValueError: As `compare_paired`.
    """
    items = sum(len(pair.baseline) for pair in pairs)
    flips = max(_FLIPS_AT_LEAST, min(_FLIPS_AT_MOST, _SIGNS // max(1, items)))
    found = [
        compare_paired(
            pair.baseline,
            pair.candidate,
            alpha=alpha,
            effect=effect,
            higher_is_better=pair.higher_is_better,
            flips=flips,
            seed=seed,
        )
        for pair in pairs
    ]
    tested = [comparison.p for comparison in found if comparison.p is not None]
    adjusted = iter(holm_adjusted(tested))
    return [
        _adjusted(comparison, None if comparison.p is None else next(adjusted), alpha, len(tested), effect)
        for comparison in found
    ]


def _adjusted(
    comparison: Comparison, p: float | None, alpha: float, tests: int, effect: float | None
) -> AdjustedComparison:
    if p is None or tests == 1 or (p <= alpha and comparison.verdict is not Verdict.NOT_DECIDED):
        return AdjustedComparison(comparison, p)
    more = None
    if comparison.deviation and comparison.difference is not None:
        needed = items_needed(effect or comparison.difference, comparison.deviation, alpha=alpha / tests)
        more = None if needed is None else max(1, needed - comparison.n)
    return AdjustedComparison(replace(comparison, verdict=Verdict.NOT_DECIDED, more_items=more), p)
