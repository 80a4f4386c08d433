import pytest

from assay.scoring.comparing import PairedScores, compare_all
from assay.scoring.power import items_needed
from assay.scoring.verdicts import Verdict, compare_paired

BETTER = PairedScores([0.0] * 8, [1.0] * 8)  # p = 2 / 2^8
CLOSE = PairedScores([0.0] * 6 + [1.0] * 4, [1.0] * 6 + [1.0] * 4)  # p = 2 / 2^6 = 0.031
ALIKE = PairedScores([1.0] * 9, [1.0] * 9)
EMPTY = PairedScores([], [])


def test_one_comparison_is_as_it_is() -> None:
    [only] = compare_all([CLOSE])
    assert only.comparison == compare_paired(CLOSE.baseline, CLOSE.candidate)
    assert only.comparison.verdict is Verdict.BETTER
    assert only.adjusted_p == only.comparison.p


def test_among_others_a_verdict_takes_more() -> None:
    better, close, empty = compare_all([BETTER, CLOSE, EMPTY])
    # Two have a p: 0.0078 · 2 and 0.031 · 1.
    assert (better.adjusted_p, close.adjusted_p, empty.adjusted_p) == (2 / 128, 1 / 32, None)
    assert [one.comparison.verdict for one in (better, close)] == [Verdict.BETTER, Verdict.BETTER]
    first, second = compare_all([CLOSE, CLOSE])
    assert first.adjusted_p == second.adjusted_p == 1 / 16
    assert first.comparison.verdict is Verdict.NOT_DECIDED
    assert first.comparison.p == 1 / 32, "its own p stays"
    needed = items_needed(0.6, first.comparison.deviation or 0, alpha=0.025)
    assert needed is not None
    assert first.comparison.more_items == max(1, needed - 10)


def test_lower_may_be_better() -> None:
    worse = PairedScores(BETTER.baseline, BETTER.candidate, higher_is_better=False)
    assert compare_all([worse])[0].comparison.verdict is Verdict.WORSE


def test_nothing_to_compare() -> None:
    assert compare_all([]) == []
    assert compare_all([ALIKE])[0].comparison.verdict is Verdict.NOT_DECIDED


def test_scores_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        compare_all([PairedScores([float("nan")], [1.0])])
