"""How far raters agree: two by Cohen's kappa, any number with gaps by Krippendorff's alpha, and where they differ.

None stands for "too little data to say", which is not an agreement of 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from assay.scoring.distributions import check_share, normal_quantile
from assay.scoring.statistics import DEFAULT_LEVEL, Interval


class MeasurementLevel(StrEnum):
    """How far apart two labels are: equal or not, or the square of their difference."""

    NOMINAL = "nominal"
    INTERVAL = "interval"


@dataclass(frozen=True)
class Kappa:
    """Agreement of two raters beyond chance; 1 is perfect, 0 is chance, below 0 is worse than chance."""

    n: int
    observed: float
    """Share of items with the same label."""
    expected: float
    """The share that raters with the same frequencies of labels would reach by chance."""
    kappa: float | None
    """None when chance alone would agree always, since both only ever used one and the same label."""
    error: float | None
    interval: Interval | None


@dataclass(frozen=True)
class PassConfusion:
    """A judge against the truth, for pass and fail."""

    true_pass: int
    false_pass: int
    """The judge passed what truly fails."""
    false_fail: int
    true_fail: int

    @property
    def n(self) -> int:
        """Items."""
        return self.true_pass + self.false_pass + self.false_fail + self.true_fail

    @property
    def passes(self) -> int:
        """Items that truly pass."""
        return self.true_pass + self.false_fail

    @property
    def fails(self) -> int:
        """Items that truly fail."""
        return self.true_fail + self.false_pass


def pass_confusion(judged: Sequence[bool], truth: Sequence[bool]) -> PassConfusion:
    """Count a judge's verdicts against the truth.

    n = 0: four zeros.

    Raises:
        ValueError: Lengths differ.
    """
    _check_lengths(judged, truth)
    counts = Counter(zip(judged, truth, strict=True))
    return PassConfusion(counts[True, True], counts[True, False], counts[False, True], counts[False, False])


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable], *, level: float = DEFAULT_LEVEL) -> Kappa | None:
    """Cohen's kappa of two raters who labelled the same items.

    ``κ = (p_o - p_e) / (1 - p_e)`` with ``p_o`` the share of equal labels and ``p_e = Σ_l p_a(l) p_b(l)``. Cohen 1960,
    "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20. Its large-sample
    error is that of Fleiss, Cohen and Everitt 1969, "Large sample standard errors of kappa and weighted kappa",
    Psychological Bulletin 72: ``Σ_l p_ll (1 - (p_a(l) + p_b(l)) (1 - κ))² + (1 - κ)² Σ_{l≠m} p_lm (p_b(l) + p_a(m))²
    - (κ - p_e (1 - κ))²``, over ``n (1 - p_e)²``, and the root of it. The interval is ``κ ± z · error``, cut to 1.
    Assumes independent items, and enough of them: below about 50 the interval is too narrow.

    n = 0: None. n = 1: no kappa if the labels are equal, 0 if not. n = 2: defined, and of no use. Perfect agreement:
    error 0 and no interval, since a width of nothing would claim certainty.

    Args:
        a: Labels of the first rater, one per item.
        b: Labels of the second, in the same order.
        level: Between 0 and 1, both excluded.

    Raises:
        ValueError: Lengths differ, or ``level`` is out of range.
    """
    check_share("level", level)
    _check_lengths(a, b)
    n = len(a)
    if n == 0:
        return None
    table = _label_table(a, b) / n
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    observed, expected = float(np.trace(table)), float(rows @ columns)
    if math.isclose(expected, 1):
        return Kappa(n, observed, 1.0, None, None, None)
    kappa = (observed - expected) / (1 - expected)
    error = _kappa_error(table, kappa, expected, n)
    half = normal_quantile((1 + level) / 2) * error
    interval = Interval(kappa - half, min(1.0, kappa + half)) if error > 0 else None
    return Kappa(n, observed, expected, kappa, error, interval)


def krippendorff_alpha(
    units: Sequence[Sequence[Any]], *, measurement: MeasurementLevel = MeasurementLevel.NOMINAL
) -> float | None:
    """Krippendorff's alpha of any number of raters, each of whom may have left items out.

    ``α = 1 - D_o / D_e``: disagreement within items over that among all labels, with ``D_o = 1/N Σ_u 1/(m_u - 1)
    Σ_{i≠j} δ(v_ui, v_uj)`` and ``D_e = 1/(N (N - 1)) Σ_{i≠j} δ(v_i, v_j)`` over the N labels of items with at least
    two; δ is 0 or 1 for nominal labels, the squared difference for interval ones. Krippendorff 2004, "Content
    Analysis", 2nd edition, chapter 11. Assumes raters who are interchangeable and items drawn independently.

    No item with two labels: None. Labels that are all equal: None, since nothing could have differed. One such item:
    defined, 0 or below unless its labels agree.

    Args:
        units: For each item the labels that it got, in any order; numbers for interval labels.
        measurement: How far apart labels are.

    Raises:
        ValueError: An interval label is no finite number.
    """
    pairable = [list(unit) for unit in units if len(unit) >= 2]
    if measurement is MeasurementLevel.INTERVAL:
        return _interval_alpha(pairable)
    totals = Counter(label for unit in pairable for label in unit)
    n = totals.total()
    expected = n * n - sum(count * count for count in totals.values())
    if expected == 0:
        return None
    observed = math.fsum(
        (len(unit) ** 2 - sum(count * count for count in Counter(unit).values())) / (len(unit) - 1) for unit in pairable
    )
    return 1 - (n - 1) * observed / expected


def confusion_table(judged: Sequence[str], truth: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """Counts by true label and then by judged one; labels in order of their names.

    Raises:
        ValueError: Lengths differ.
    """
    _check_lengths(judged, truth)
    labels = sorted({*judged, *truth})
    counts = Counter(zip(truth, judged, strict=True))
    return {true: {said: counts[true, said] for said in labels} for true in labels}


def _interval_alpha(units: Sequence[Sequence[float]]) -> float | None:
    values = np.array([value for unit in units for value in unit], dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("labels must be finite numbers")
    n = len(values)
    # Twice n times the squared deviations is the sum over all ordered pairs of squared differences.
    expected = 2 * n * float(((values - values.mean()) ** 2).sum()) if n else 0.0
    if n == 0 or float(np.ptp(values)) == 0:
        return None
    observed = math.fsum(
        2 * len(unit) * float(((np.array(unit) - np.mean(unit)) ** 2).sum()) / (len(unit) - 1) for unit in units
    )
    return 1 - (n - 1) * observed / expected


def _label_table(a: Sequence[Hashable], b: Sequence[Hashable]) -> Any:
    places: dict[Hashable, int] = {}
    for label in (*a, *b):
        places.setdefault(label, len(places))
    table = np.zeros((len(places), len(places)))
    for first, second in zip(a, b, strict=True):
        table[places[first], places[second]] += 1
    return table


def _kappa_error(table: Any, kappa: float, expected: float, n: int) -> float:
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    diagonal = np.diag(table)
    agree = float((diagonal * (1 - (rows + columns) * (1 - kappa)) ** 2).sum())
    # Of an item with labels (l, m): how often b says l and a says m.
    crossed = (columns[:, None] + rows[None, :]) ** 2 * table
    differ = (1 - kappa) ** 2 * float(crossed.sum() - np.diag(crossed).sum())
    variance = (agree + differ - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    return 0.0 if variance <= 1e-15 else math.sqrt(variance)


def _check_lengths(a: Sequence[object], b: Sequence[object]) -> None:
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} labels; they must be of the same items")
