"""A judge's rate of passes, corrected for the judge's errors.

A judge that passes 80 % has not seen that 80 % pass. Labels by people say how often it errs:

- `rogan_gladen` takes how often it errs from labels on any items like these, such as those of an earlier run.
- `prediction_powered` takes labels on some of these very items, chosen at random.

None stands for "too little data to say".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.scoring.agreement import PassConfusion
from assay.scoring.distributions import FloatArray, check_share, finite_array, normal_quantile, student_quantile
from assay.scoring.statistics import DEFAULT_LEVEL, Interval

MOST_USELESS = 0.1
"""A judge whose sensitivity and specificity add up to less than 1 and this much tells next to nothing."""


@dataclass(frozen=True)
class CorrectedRate:
    """A corrected rate; ``interval`` is None where data is short."""

    rate: float
    judged_rate: float
    interval: Interval | None
    n: int
    """Judged items."""
    labelled: int
    """Items with a label by people."""


def rogan_gladen(
    judged_passes: int, n: int, confusion: PassConfusion, *, level: float = DEFAULT_LEVEL
) -> CorrectedRate | None:
    """The true rate of passes behind a judged one, from the judge's sensitivity and specificity.

    ``θ = (p + Sp - 1) / (Se + Sp - 1)``, cut to 0 to 1. Rogan and Gladen 1978, "Estimating prevalence from the results
    of a screening test", American Journal of Epidemiology 107. The interval is that of Lang and Reiczigel 2014,
    "Confidence limits for prevalence of disease adjusted for estimated sensitivity and specificity", Preventive
    Veterinary Medicine 113: with z²/2 successes of z² added to the judged rate and one of two to sensitivity and
    specificity, ``θ' + Δ ± z s`` where ``Δ = 2 z² (θ' Se'(1 - Se')/n_p' - (1 - θ') Sp'(1 - Sp')/n_f')`` and ``s² =
    (p'(1 - p')/n' + θ'² Se'(1 - Se')/n_p' + (1 - θ')² Sp'(1 - Sp')/n_f') / (Se' + Sp' - 1)²``. Assumes that the judge
    errs as often on these items as on the labelled ones, and that items are independent.

    n = 0, or no labelled item that passes, or none that fails: None. n = 1 and 2: defined, and close to 0 to 1. A judge
    that is no better than chance (`MOST_USELESS`): None, since a rate that is divided by nothing is nothing.

    Args:
        judged_passes: Items that the judge passed.
        n: Items that it judged.
        confusion: The judge against labels of people.
        level: Between 0 and 1, both excluded.

    Raises:
        ValueError: An argument is out of range.
    """
    check_share("level", level)
    if not 0 <= judged_passes <= n:
        raise ValueError(f"judged_passes is {judged_passes}; it must be from 0 to n = {n}")
    if n == 0 or confusion.passes == 0 or confusion.fails == 0:
        return None
    sensitivity, specificity = confusion.true_pass / confusion.passes, confusion.true_fail / confusion.fails
    if sensitivity + specificity - 1 < MOST_USELESS:
        return None
    judged = judged_passes / n
    rate = _clip((judged + specificity - 1) / (sensitivity + specificity - 1))
    return CorrectedRate(rate, judged, _lang_reiczigel(judged_passes, n, confusion, level), n, confusion.n)


def _lang_reiczigel(passes: int, n: int, confusion: PassConfusion, level: float) -> Interval | None:
    z = normal_quantile((1 + level) / 2)
    more, of_passes, of_fails = n + z * z, confusion.passes + 2, confusion.fails + 2
    p = (passes + z * z / 2) / more
    se, sp = (confusion.true_pass + 1) / of_passes, (confusion.true_fail + 1) / of_fails
    youden = se + sp - 1
    if youden <= 0:
        return None
    rate = _clip((p + sp - 1) / youden)
    se_spread, sp_spread = se * (1 - se) / of_passes, sp * (1 - sp) / of_fails
    shift = 2 * z * z * (rate * se_spread - (1 - rate) * sp_spread)
    variance = p * (1 - p) / more + rate**2 * se_spread + (1 - rate) ** 2 * sp_spread
    half = z * math.sqrt(variance) / youden
    low, high = _clip(rate + shift - half), _clip(rate + shift + half)
    return Interval(low, high) if low < high else None


def prediction_powered(
    judged: Sequence[float],
    labelled_judged: Sequence[float],
    labels: Sequence[float],
    *,
    level: float = DEFAULT_LEVEL,
) -> CorrectedRate | None:
    """The mean of true scores from many judged items and a few that are labelled as well.

    ``θ = λ m(f) + m(y - λ f)``: the judge's mean over the N unlabelled items, times λ, plus the mean of its errors over
    the n labelled ones; variance ``λ² var(f)/N + var(y - λ f)/n``. Angelopoulos et al. 2023, "Prediction-powered
    inference", Science 382, arXiv 2301.09633. The power ``λ = cov(y, f) / ((1 + n/N) var(f))``, cut to 0 to 1, is that
    of Angelopoulos, Duchi and Zrnic 2023, "PPI++: Efficient prediction-powered inference", arXiv 2311.01453: with it a
    useless judge does no harm. The quantile is Student's with ``n - 1`` degrees of freedom, a little wider than the
    paper's normal one where labels are few. Assumes that the labelled items were chosen at random from all, and
    independent items. It is cut to 0 to 1 where all scores lie there.

    No labels: None. One: a rate without interval. Two: very wide. No unlabelled items: the labels' mean, and their
    ordinary interval. Errors and predictions without any spread: no interval.

    Args:
        judged: The judge's scores of items without a label.
        labelled_judged: Its scores of the labelled items.
        labels: The true scores of these, in the same order.
        level: Between 0 and 1, both excluded.

    Raises:
        ValueError: Lengths differ, a score is not finite, or ``level`` is out of range.
    """
    check_share("level", level)
    f, g = finite_array("judged", judged), finite_array("labelled_judged", labelled_judged)
    y = finite_array("labels", labels)
    if len(g) != len(y):
        raise ValueError(f"{len(g)} judged scores and {len(y)} labels; they must be of the same items")
    n, unlabelled = len(y), len(f)
    if n == 0:
        return None
    power = _power(f, g, y) if unlabelled else 0.0
    errors = y - power * g
    rate = float(errors.mean()) + (power * float(f.mean()) if unlabelled else 0.0)
    everything = [*f.tolist(), *g.tolist(), *y.tolist()]
    inside = min(everything) >= 0 and max(everything) <= 1
    judged_rate = (float(f.sum()) + float(g.sum())) / (unlabelled + n)
    interval = None
    if n > 1:
        variance = float(errors.var(ddof=1)) / n
        if unlabelled > 1:
            variance += power**2 * float(f.var(ddof=1)) / unlabelled
        half = student_quantile((1 + level) / 2, n - 1) * math.sqrt(variance)
        if half > 0:
            low, high = rate - half, rate + half
            interval = Interval(_clip(low), _clip(high)) if inside else Interval(low, high)
    return CorrectedRate(_clip(rate) if inside else rate, judged_rate, interval, unlabelled + n, n)


def _power(judged: FloatArray, on_labelled: FloatArray, labels: FloatArray) -> float:
    if len(labels) < 2:
        return 1.0
    spread = float(np.concatenate([judged, on_labelled]).var(ddof=1))
    if spread == 0:
        return 0.0
    together = float(np.cov(labels, on_labelled)[0, 1])
    return _clip(together / ((1 + len(labels) / len(judged)) * spread))


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
