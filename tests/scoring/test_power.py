import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from assay.scoring.power import items_needed, minimal_detectable_effect, paired_power

scipy_stats: Any = stats


@pytest.mark.parametrize(
    ("effect", "deviation", "n"),
    [
        # Cohen's small, medium and large effects at 5 % and power 0.8, two-sided: the well-known 199, 34 and 15.
        (0.2, 1, 199),
        (0.5, 1, 34),
        (0.8, 1, 15),
        # Only the ratio counts, and not the sign.
        (-1.0, 2, 34),
        # Normal: (1.959964 + 0.841621)² / 0.01² = 78488.8; the unknown deviation costs 1.96² / 2 = 1.9 items more.
        (0.01, 1, 78_491),
        (100, 1, 2),
        (0, 1, None),
        (1e-9, 1, None),
    ],
)
def test_items(effect: float, deviation: float, n: int | None) -> None:
    assert items_needed(effect, deviation) == n


def test_items_and_effect_are_each_others_inverse() -> None:
    for n in (5, 34, 500, 3000):
        effect = minimal_detectable_effect(0.4, n)
        assert effect is not None
        assert paired_power(effect, 0.4, n) == pytest.approx(0.8)
        assert items_needed(effect * 1.0001, 0.4) == n


def test_power_agrees_with_scipy() -> None:
    n, ratio = 20, 0.6
    critical = scipy_stats.t.ppf(0.975, n - 1)
    shift = ratio * math.sqrt(n)
    expected = scipy_stats.nct.sf(critical, n - 1, shift) + scipy_stats.nct.cdf(-critical, n - 1, shift)
    assert paired_power(0.3, 0.5, n) == pytest.approx(expected)
    # Without an effect, power is the rate of false positives.
    assert paired_power(0, 1, 20) == pytest.approx(0.05)
    assert paired_power(0, 1, 5000) == pytest.approx(0.05, abs=1e-4)


def share_found(trials: int = 4000) -> float:
    """How often a paired t test of 34 items finds half a deviation; promised are 0.8."""
    values = np.random.default_rng(17).normal(0.5, 1, size=(trials, 34))
    return float((scipy_stats.ttest_1samp(values, 0, axis=1).pvalue <= 0.05).mean())


def test_simulated_power_is_as_promised() -> None:
    assert share_found() == pytest.approx(paired_power(0.5, 1, 34), abs=0.015)


def test_too_little_data() -> None:
    assert paired_power(1, 1, 1) is None
    assert minimal_detectable_effect(1, 0) is None
    assert minimal_detectable_effect(1, 1) is None
    two = minimal_detectable_effect(1, 2)
    assert two is not None
    assert two > 5


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="deviation"):
        items_needed(1, 0)
    with pytest.raises(ValueError, match="above alpha"):
        items_needed(1, 1, power=0.01)
    with pytest.raises(ValueError, match="alpha"):
        paired_power(1, 1, 5, alpha=0)
    with pytest.raises(ValueError, match="finite"):
        items_needed(math.inf, 1)
