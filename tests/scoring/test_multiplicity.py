import numpy as np
import pytest

from assay.scoring.multiplicity import holm_adjusted


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        # Sorted: 0.005 * 4 = 0.02, 0.01 * 3 = 0.03, 0.03 * 2 = 0.06, and 0.04 * 1 raised to 0.06.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, 0.03], [0.04, 0.04]),
        ([0.02], [0.02]),
        ([], []),
    ],
)
def test_holm(p_values: list[float], adjusted: list[float]) -> None:
    assert holm_adjusted(p_values) == pytest.approx(adjusted)


def family_error_rate(trials: int = 4000) -> float:
    """Ten true null hypotheses at once, at 5 %: how often any is rejected."""
    rng = np.random.default_rng(13)
    return sum(min(holm_adjusted(row)) <= 0.05 for row in rng.random((trials, 10)).tolist()) / trials


def test_holm_keeps_the_family_error() -> None:
    # Unadjusted it would be 1 - 0.95^10 = 0.40; two standard errors of 4000 trials are 0.007.
    assert 0.04 <= family_error_rate() <= 0.057


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_p_is_a_probability(p: float) -> None:
    with pytest.raises(ValueError, match="p value"):
        holm_adjusted([0.5, p])
