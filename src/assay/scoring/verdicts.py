"""What a paired comparison comes to: better, worse, or not decided, and then how much is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from assay.scoring.distributions import FloatArray, check_share
from assay.scoring.paired import (
    DEFAULT_FLIPS,
    IntervalMethod,
    PairedDifference,
    PairedTest,
    TestMethod,
    paired_difference,
    paired_test,
)
from assay.scoring.power import DEFAULT_ALPHA, DEFAULT_POWER, items_needed
from assay.scoring.statistics import Interval


class Verdict(StrEnum):
    """Of the candidate, against the baseline."""

    BETTER = "better"
    WORSE = "worse"
    NOT_DECIDED = "not_decided"


@dataclass(frozen=True)
class Comparison:
    """A verdict and all that it rests on; ``more_items`` is None when decided, or when no number can be named."""

    verdict: Verdict
    n: int
    difference: float | None
    deviation: float | None
    """Standard deviation of the differences."""
    interval: Interval | None
    interval_method: IntervalMethod
    p: float | None
    test_method: TestMethod | None
    more_items: int | None


def compare_paired(
    a: Sequence[float] | FloatArray,
    b: Sequence[float] | FloatArray,
    *,
    alpha: float = DEFAULT_ALPHA,
    power: float = DEFAULT_POWER,
    effect: float | None = None,
    higher_is_better: bool = True,
    interval_method: IntervalMethod = IntervalMethod.STUDENT_T,
    flips: int = DEFAULT_FLIPS,
    seed: int = 0,
) -> Comparison:
    """Whether ``b`` is better than ``a`` on the same items.

    Decided if ``p ≤ alpha`` (`paired_test`) and the ``1 - alpha`` interval (`paired_difference`) leaves out 0; asking
    for both never contradicts the interval shown, and errs no more often than the test alone. Without an interval,
    which is when all differences are equal, p decides. ``more_items`` is what `items_needed` asks beyond n, at least 1,
    at the deviation seen, for ``effect`` or else for the difference seen. The latter is itself uncertain; take it as an
    order of magnitude. Adding items until it is significant makes false positives likelier: fix n first. Assumptions
    are those of the functions named.

    n = 0: not decided, all None. n = 1 and 2: p is 1, or at least 1/2, so not decided at any usual alpha; at 5 % that
    holds up to n = 5.

    Args:
        a: Scores of the baseline, one per item.
        b: Scores of the candidate, in the same order.
        alpha: The allowed rate of false positives.
        power: The probability with which the items still to come should decide.
        effect: The smallest difference worth finding, above 0; None takes the one seen.
        higher_is_better: False for costs, errors and delays.
        interval_method: Of the interval.
        flips: See `sign_flip_test`.
        seed: Of all draws.

    Raises:
        ValueError: Lengths differ, a score is not finite, or an argument is out of range.
    """
    check_share("alpha", alpha)
    check_share("power", power)
    if effect is not None and effect <= 0:
        raise ValueError(f"effect is {effect}; it must be above 0")
    difference = paired_difference(a, b, level=1 - alpha, method=interval_method, seed=seed)
    test = paired_test(a, b, flips=flips, seed=seed)
    if difference is None or test is None:
        return Comparison(Verdict.NOT_DECIDED, 0, None, None, None, interval_method, None, None, None)
    verdict = _verdict(difference, test, alpha, higher_is_better)
    missing = _more_items(difference, effect, alpha, power) if verdict is Verdict.NOT_DECIDED else None
    return Comparison(
        verdict,
        test.n,
        difference.mean,
        difference.deviation,
        difference.interval,
        interval_method,
        test.p,
        test.method,
        missing,
    )


def _verdict(difference: PairedDifference, test: PairedTest, alpha: float, higher_is_better: bool) -> Verdict:
    interval = difference.interval
    if test.p > alpha or (interval is not None and interval.low <= 0 <= interval.high):
        return Verdict.NOT_DECIDED
    return Verdict.BETTER if (difference.mean > 0) is higher_is_better else Verdict.WORSE


def _more_items(difference: PairedDifference, effect: float | None, alpha: float, power: float) -> int | None:
    if not difference.deviation:
        return None
    needed = items_needed(effect or difference.mean, difference.deviation, alpha=alpha, power=power)
    return None if needed is None else max(1, needed - difference.n)
