import numpy as np
import pytest

from assay.scoring.agreement import PassConfusion
from assay.scoring.correction import prediction_powered, rogan_gladen

# Sensitivity 0.9, specificity 0.8.
JUDGE = PassConfusion(true_pass=45, false_fail=5, false_pass=10, true_fail=40)


def test_rogan_gladen_by_hand() -> None:
    # (0.62 + 0.8 - 1) / (0.9 + 0.8 - 1) = 0.6.
    found = rogan_gladen(620, 1000, JUDGE)
    assert found is not None
    assert (found.rate, found.judged_rate, found.n, found.labelled) == (pytest.approx(0.6), 0.62, 1000, 100)
    assert found.interval is not None
    assert found.interval.low < 0.6 < found.interval.high
    # Lang and Reiczigel: p' = 621.9207 / 1003.8415, Se' = 46/52, Sp' = 41/52, so that θ' = 0.606175, with
    # Δ = -0.000563 and z s = 1.959964 · 0.038125 / 0.673077 = 0.111018.
    assert found.interval == pytest.approx((0.494594, 0.716630), abs=1e-5)


def test_what_a_rate_cannot_be_corrected_by() -> None:
    assert rogan_gladen(0, 0, JUDGE) is None
    assert rogan_gladen(5, 10, PassConfusion(5, 0, 0, 0)) is None, "no item that fails"
    assert rogan_gladen(5, 10, PassConfusion(0, 0, 0, 5)) is None, "no item that passes"
    assert rogan_gladen(5, 10, PassConfusion(5, 5, 5, 5)) is None, "a coin"
    assert rogan_gladen(5, 10, PassConfusion(1, 9, 9, 1)) is None, "worse than a coin"
    sure = rogan_gladen(1, 1, PassConfusion(1, 0, 0, 1))
    assert sure is not None
    assert sure.rate == 1
    assert sure.interval is not None
    assert sure.interval.high - sure.interval.low > 0.8
    below = rogan_gladen(1, 100, JUDGE)
    assert below is not None
    assert below.rate == 0, "fewer passes than the judge's errors alone would make"


def test_prediction_powered_by_hand() -> None:
    # With as many unlabelled items as one likes, a judge that is right but for a shift of 0.5 is corrected by it.
    labels = [1.0, 2.0, 3.0, 4.0]
    found = prediction_powered([0.5, 3.5] * 500, [label - 0.5 for label in labels], labels)
    assert found is not None
    assert found.rate == pytest.approx(2.5)
    assert (found.n, found.labelled) == (1004, 4)
    assert found.judged_rate == pytest.approx(2.0)


def test_a_useless_judge_does_no_harm() -> None:
    rng = np.random.default_rng(4)
    labels = (rng.random(60) < 0.7).astype(float)
    noise = (rng.random(1060) < 0.5).astype(float)
    found = prediction_powered(noise[60:].tolist(), noise[:60].tolist(), labels.tolist())
    assert found is not None
    assert found.rate == pytest.approx(labels.mean(), abs=0.05)


def test_few_labels() -> None:
    assert prediction_powered([1.0, 0.0], [], []) is None
    one = prediction_powered([1.0, 0.0], [1.0], [0.0])
    assert one is not None
    assert one.interval is None
    alone = prediction_powered([], [1.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    assert alone is not None
    assert alone.rate == pytest.approx(1 / 3), "without unlabelled items it is the mean of the labels"
    alike = prediction_powered([1.0] * 5, [1.0] * 3, [1.0] * 3)
    assert alike is not None
    assert (alike.rate, alike.interval) == (1.0, None)
    with pytest.raises(ValueError, match="same items"):
        prediction_powered([], [1.0], [])
