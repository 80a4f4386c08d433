import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from assay.scoring.agreement import (
    MeasurementLevel,
    PassConfusion,
    cohen_kappa,
    confusion_table,
    krippendorff_alpha,
    pass_confusion,
)

sklearn_metrics: Any = metrics


def test_kappa_by_hand() -> None:
    # Of 10 items 4 are passed and 3 failed by both: p_o = 0.7. a passes 6, b 5: p_e = 0.6 · 0.5 + 0.4 · 0.5 = 0.5.
    a = [True] * 6 + [False] * 4
    b = [True] * 4 + [False] * 2 + [True] + [False] * 3
    found = cohen_kappa(a, b)
    assert found is not None
    assert (found.n, found.observed, found.expected) == (10, pytest.approx(0.7), pytest.approx(0.5))
    assert found.kappa == pytest.approx(0.4)
    # Fleiss, Cohen and Everitt with rows (0.4, 0.2), (0.1, 0.3): agreeing 0.4 (1 - 1.1 · 0.6)² + 0.3 (1 - 0.9 · 0.6)²
    # = 0.10972; differing 0.36 (0.2 · (0.5 + 0.4)² + 0.1 · (0.5 + 0.6)²) = 0.10188; less (0.4 - 0.5 · 0.6)² = 0.01.
    assert found.error == pytest.approx(math.sqrt((0.10972 + 0.10188 - 0.01) / (10 * 0.25)))
    assert found.interval == pytest.approx((0.4 - 0.556575, 0.4 + 0.556575), abs=1e-5)


def test_kappa_as_in_the_reference_library() -> None:
    rng = np.random.default_rng(3)
    for labels in (2, 3, 6):
        a = rng.integers(0, labels, 80)
        b = np.where(rng.random(80) < 0.6, a, rng.integers(0, labels, 80))
        found = cohen_kappa(a.tolist(), b.tolist())
        assert found is not None
        assert found.kappa == pytest.approx(sklearn_metrics.cohen_kappa_score(a, b), abs=1e-12)


def test_kappa_of_little() -> None:
    assert cohen_kappa([], []) is None
    one = cohen_kappa([1], [1])
    assert one is not None
    assert one.kappa is None
    differ = cohen_kappa([1], [0])
    assert differ is not None
    assert differ.kappa == 0
    perfect = cohen_kappa([1, 0, 1], [1, 0, 1])
    assert perfect is not None
    assert (perfect.kappa, perfect.error, perfect.interval) == (1.0, 0.0, None)


def test_alpha_of_the_textbook() -> None:
    # Krippendorff's own example ("Computing Krippendorff's Alpha-Reliability", section C): four observers, 12 units.
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[value for value in unit if value is not None] for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(units, measurement=MeasurementLevel.INTERVAL) == pytest.approx(0.849, abs=5e-4)


@pytest.mark.parametrize("measurement", list(MeasurementLevel))
def test_alpha_of_little(measurement: MeasurementLevel) -> None:
    assert krippendorff_alpha([], measurement=measurement) is None
    assert krippendorff_alpha([[1], [2]], measurement=measurement) is None, "nobody else looked"
    assert krippendorff_alpha([[1, 1], [1, 1]], measurement=measurement) is None, "nothing could have differed"
    assert krippendorff_alpha([[1, 1], [2, 2]], measurement=measurement) == pytest.approx(1)
    assert krippendorff_alpha([[1, 2]], measurement=measurement) == pytest.approx(0)


def test_confusion() -> None:
    judged, truth = [True, True, False, False, True], [True, False, True, False, True]
    assert pass_confusion(judged, truth) == PassConfusion(true_pass=2, false_pass=1, false_fail=1, true_fail=1)
    assert pass_confusion([], []).n == 0
    assert confusion_table(["a", "b"], ["a", "a"]) == {"a": {"a": 1, "b": 1}, "b": {"a": 0, "b": 0}}
    with pytest.raises(ValueError, match="same items"):
        pass_confusion([True], [])
