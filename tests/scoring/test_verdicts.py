import numpy as np
import pytest

from assay.scoring.paired import TestMethod
from assay.scoring.power import items_needed
from assay.scoring.verdicts import Verdict, compare_paired


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        # p = 2 / 2^10, whatever the interval: there is none, since all differences are equal.
        ([0] * 10, [1] * 10, Verdict.BETTER),
        ([1] * 10, [0] * 10, Verdict.WORSE),
        # p = 1/16: five items decide nothing.
        ([0] * 5, [1] * 5, Verdict.NOT_DECIDED),
        ([0, 1], [1, 0], Verdict.NOT_DECIDED),
        ([1] * 50, [1] * 50, Verdict.NOT_DECIDED),
        ([0.2], [0.9], Verdict.NOT_DECIDED),
    ],
)
def test_verdicts(a: list[float], b: list[float], verdict: Verdict) -> None:
    assert compare_paired(a, b).verdict is verdict


def test_lower_may_be_better() -> None:
    assert compare_paired([1.0] * 10, [0.0] * 10, higher_is_better=False).verdict is Verdict.BETTER


def test_what_is_missing() -> None:
    # Four items for b, two for a, 14 alike: mean 0.1, squares sum to 6, variance (6 - 20 * 0.01) / 19 = 0.305263.
    a, b = [0] * 4 + [1] * 2 + [1] * 14, [1] * 4 + [0] * 2 + [1] * 14
    result = compare_paired(a, b)
    assert result.verdict is Verdict.NOT_DECIDED
    assert result.difference == pytest.approx(0.1)
    assert result.p == pytest.approx(44 / 64)  # 2 (1 + 6 + 15) / 2^6
    assert result.test_method is TestMethod.EXACT_MCNEMAR
    needed = items_needed(0.1, 0.305263**0.5)
    assert needed is not None
    assert result.more_items == needed - 20
    coarse = compare_paired(a, b, effect=0.9)
    assert coarse.more_items == 1


def test_nothing_to_go_by() -> None:
    empty = compare_paired([], [])
    assert (empty.verdict, empty.n, empty.difference, empty.p) == (Verdict.NOT_DECIDED, 0, None, None)
    # No difference seen, and none named: no number of items can be given.
    assert compare_paired([0, 1], [1, 0]).more_items is None
    assert compare_paired([0.2], [0.9]).more_items is None


def wrong_verdict_rate(trials: int = 1000) -> float:
    """60 graded pairs of two systems that are alike: how often one is called better or worse, at 5 %."""
    rng = np.random.default_rng(19)
    decided = 0
    for _ in range(trials):
        items = rng.random(60)
        a, b = items + rng.normal(0, 0.2, 60), items + rng.normal(0, 0.2, 60)
        decided += compare_paired(a, b, flips=499).verdict is not Verdict.NOT_DECIDED
    return decided / trials


def test_verdicts_are_seldom_wrong() -> None:
    assert 0.02 <= wrong_verdict_rate() <= 0.065


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="effect"):
        compare_paired([1], [1], effect=0)
    with pytest.raises(ValueError, match="alpha"):
        compare_paired([1], [1], alpha=1)
