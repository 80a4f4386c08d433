"""Splits, copied answers and the regression guard, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.scoring.optimization import GuardVerdict, check_regression, find_copied_answers, split_items


@given(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=80), st.integers(0, 5))
def test_a_split_takes_each_case_once_and_keeps_equal_ones_together(keys: list[str], seed: int) -> None:
    split = split_items(keys, seed=seed)
    parts = (split.train, split.validation, split.test)

    assert sorted(place for part in parts for place in part) == list(range(len(keys)))
    for key in set(keys):
        assert sum(any(keys[place] == key for place in part) for part in parts) == 1
    assert split == split_items(keys, seed=seed)


@pytest.mark.parametrize(("n", "sizes"), [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (1, 1, 0)), (100, (40, 35, 25))])
def test_sizes_of_the_parts(n: int, sizes: tuple[int, int, int]) -> None:
    split = split_items([str(place) for place in range(n)], seed=1)

    assert (len(split.train), len(split.validation), len(split.test)) == sizes


@pytest.mark.parametrize(("train", "validation"), [(0, 0.5), (0.5, 0), (0.5, 0.5)])
def test_no_part_may_be_empty_by_design(train: float, validation: float) -> None:
    with pytest.raises(ValueError, match="empty"):
        split_items(["a"], seed=0, train=train, validation=validation)


@pytest.mark.parametrize(
    ("candidate", "copied"),
    [
        ("Answer briefly.", []),
        ("If asked about New Zealand say Wellington.", [(0, "answer")]),
        ("The WELLINGTON!", [(0, "answer")]),
        ("Wellingtonian", []),
        ("Say positive or negative.", []),
        ("Paris", []),
        ("Already known: Canberra", []),
        ("x how many legs do three spiders and two ants have", [(4, "input")]),
    ],
)
def test_copied_answers(candidate: str, copied: list[tuple[int, str]]) -> None:
    inputs = ["capital nz", "mood 1", "mood 2", "capital fr", "How many legs do three spiders and two ants have?", "au"]
    answers = ["Wellington", "positive", "positive", "Paris", None, "Canberra"]

    found = find_copied_answers(candidate, "Canberra is known.", inputs=inputs, answers=answers)

    assert [(one.case, one.what) for one in found] == copied


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([], [], GuardVerdict.FEW_REGRESSIONS),
        # Mean +0.2, 1 of 5 worse.
        ([0.5] * 5, [0.9, 0.9, 0.9, 0.5, 0.3], GuardVerdict.CLEAR_GAIN),
        # Mean +0.06, 3 of 5 worse by 0.1 each; 0.6 gained against 0.3 lost.
        ([0.5] * 5, [0.8, 0.8, 0.4, 0.4, 0.4], GuardVerdict.OUTWEIGHED),
        # Mean +0.006, 3 of 5 worse; 0.33 gained is no more than 1.2 × 0.3.
        ([0.5] * 5, [0.83, 0.5, 0.4, 0.4, 0.4], GuardVerdict.TOO_MANY_REGRESSIONS),
        # Moves of up to 3 points are none.
        ([0.5] * 4, [0.47, 0.48, 0.5, 0.5], GuardVerdict.FEW_REGRESSIONS),
    ],
)
def test_the_guard(before: list[float], after: list[float], verdict: GuardVerdict) -> None:
    assert check_regression(before, after).verdict is verdict
