import math

import numpy as np
import pytest

from assay.scoring.repeats import (
    PassEstimator,
    RepeatEstimate,
    mean_mean_of_k,
    mean_of_k,
    mean_pass_at_k,
    mean_pass_hat_k,
    pass_at_k,
    pass_hat_k,
    passes_estimate,
)
from assay.scoring.statistics import t_interval


@pytest.mark.parametrize(
    ("passes", "n", "k", "any_passes", "all_pass"),
    [
        # Two of 5 pass. Of the C(5, 2) = 10 pairs, C(3, 2) = 3 hold no pass and C(2, 2) = 1 holds only passes.
        (2, 5, 2, 7 / 10, 1 / 10),
        # Of 10 triples one holds no pass, and none three.
        (2, 5, 3, 9 / 10, 0),
        (2, 5, 1, 2 / 5, 2 / 5),
        (2, 5, 5, 1, 0),
        (0, 4, 2, 0, 0),
        (4, 4, 2, 1, 1),
        (1, 1, 1, 1, 1),
        (1, 2, 2, 1, 0),
        (1, 2, 3, None, None),
        (0, 0, 1, None, None),
    ],
)
def test_passes(passes: int, n: int, k: int, any_passes: float | None, all_pass: float | None) -> None:
    assert pass_at_k(passes, n, k) == pytest.approx(any_passes)
    assert pass_hat_k(passes, n, k) == pytest.approx(all_pass)


def test_many_repeats_do_not_overflow() -> None:
    # 1 - 0.9^100 but for drawing without replacement.
    assert pass_at_k(1000, 10_000, 100) == pytest.approx(1 - 0.9**100, abs=1e-5)


@pytest.mark.parametrize("p", [0.1, 0.4, 0.8])
def test_estimates_are_unbiased(p: float) -> None:
    # Exactly: the expectation over the binomial number of passes of 6 is 1 - (1 - p)^3 and p^3.
    shares = [math.comb(6, passes) * p**passes * (1 - p) ** (6 - passes) for passes in range(7)]
    any_passes = sum(share * (pass_at_k(passes, 6, 3) or 0) for passes, share in enumerate(shares))
    all_pass = sum(share * (pass_hat_k(passes, 6, 3) or 0) for passes, share in enumerate(shares))
    assert any_passes == pytest.approx(1 - (1 - p) ** 3)
    assert all_pass == pytest.approx(p**3)


def simulated_pass_at_3(items: int = 20_000) -> tuple[float, float]:
    """Items of uniform difficulty, 6 repeats each: the estimates of pass@3 and pass^3, which are 3/4 and 1/4."""
    rng = np.random.default_rng(23)
    passed = (rng.random((items, 6)) < rng.random((items, 1))).tolist()
    return mean_pass_at_k(passed, 3).mean or 0, mean_pass_hat_k(passed, 3).mean or 0


def test_simulated_repeats() -> None:
    assert simulated_pass_at_3() == pytest.approx((3 / 4, 1 / 4), abs=0.01)


def test_items_weigh_alike_and_short_ones_are_counted() -> None:
    # (2 of 5: 7/10) and (1 of 2: 1) for any, (1/10, 0) for all; the item of one repeat is left out.
    items = [[True, True, False, False, False], [True, False], [True]]
    any_passes, all_pass = mean_pass_at_k(items, 2), mean_pass_hat_k(items, 2)
    assert any_passes.mean == pytest.approx(0.85)
    assert all_pass.mean == pytest.approx(0.05)
    assert (any_passes.items, any_passes.left_out) == (2, 1)
    assert mean_pass_at_k([[True]], 2).mean is None
    assert mean_pass_at_k([], 1).mean is None


def test_mean_of_k() -> None:
    assert mean_of_k([0.2, 0.4, 0.9], 2) == pytest.approx(0.5)
    assert mean_of_k([0.2], 2) is None
    result = mean_mean_of_k([[0.2, 0.4], [1.0, 0.4, 0.1], [0.9]], 2)
    assert result.mean == pytest.approx(0.4)
    assert (result.items, result.left_out) == (2, 1)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        pass_at_k(1, 2, 0)
    with pytest.raises(ValueError, match="passes"):
        pass_hat_k(3, 2, 1)
    with pytest.raises(ValueError, match="finite"):
        mean_of_k([math.nan], 1)


@pytest.mark.parametrize("estimator", [pass_at_k, pass_hat_k])
def test_estimates_from_counts_of_alike_items(estimator: PassEstimator) -> None:
    # Three items with 1 of 4, two with 4 of 4, and one with a single repeat, which k = 2 leaves out.
    counts = {(1, 4): 3, (4, 4): 2, (1, 1): 1}
    found = passes_estimate(counts, 2, estimator)
    values = [estimator(1, 4, 2)] * 3 + [1.0] * 2
    mean = sum(value or 0.0 for value in values) / 5
    assert (found.mean, found.items, found.left_out) == (pytest.approx(mean), 5, 1)
    variance = sum(((value or 0.0) - mean) ** 2 for value in values) / 4
    expected = t_interval(mean, variance, 5)
    assert expected is not None
    assert found.interval == pytest.approx((max(0.0, expected.low), min(1.0, expected.high)))


def test_estimates_from_too_few_counts() -> None:
    assert passes_estimate({}, 1, pass_at_k) == RepeatEstimate(None, 0, 0)
    assert passes_estimate({(1, 1): 4}, 2, pass_at_k) == RepeatEstimate(None, 0, 4)
    assert passes_estimate({(1, 2): 1}, 1, pass_at_k) == RepeatEstimate(0.5, 1, 0)
    assert passes_estimate({(2, 2): 9}, 1, pass_at_k) == RepeatEstimate(1.0, 9, 0), "alike: no interval of no width"
