"""How small a difference a paired comparison can find, and how many items it needs.

Both answer from the power of the two-sided paired t test, with the noncentral t distribution: Cohen 1988, "Statistical
Power Analysis for the Behavioral Sciences", chapter 2. They assume independent items and nearly normal differences.
"""

from __future__ import annotations

import math
from typing import Final

from assay.scoring.distributions import check_share, noncentral_student_probability, student_quantile

DEFAULT_ALPHA: Final = 0.05
DEFAULT_POWER: Final = 0.8
MAX_ITEMS: Final = 10_000_000
# The noncentral distribution is as good as normal from here on, and its series slow and less exact.
_NORMAL_FROM: Final = 2_000
_HALVINGS: Final = 60


def paired_power(effect: float, deviation: float, n: int, *, alpha: float = DEFAULT_ALPHA) -> float | None:
    """The probability that a paired t test of n items finds a true mean difference of ``effect``.

    ``P(|T| > t)``, with ``T`` noncentral t with ``n - 1`` degrees of freedom and noncentrality
    ``|effect| √n / deviation``, and ``t`` the quantile at ``1 - alpha / 2``. From n = 2000 on ``T`` is taken as normal.
    See the module for source and assumptions.

    n = 0 and 1: None; there is no test. n = 2: defined, and small unless the effect is many deviations.

    Args:
        effect: The true mean difference.
        deviation: Standard deviation of the differences, above 0.
        n: Items.
        alpha: The allowed rate of false positives.

    Raises:
        ValueError: An argument is out of range or not finite.
    """
    check_share("alpha", alpha)
    _check_deviation(deviation)
    if not (math.isfinite(effect) and n >= 0):
        raise ValueError(f"effect {effect}, n {n}: the effect must be finite, n at least 0")
    return None if n < 2 else _power(abs(effect) / deviation, n, alpha)


def minimal_detectable_effect(
    deviation: float, n: int, *, alpha: float = DEFAULT_ALPHA, power: float = DEFAULT_POWER
) -> float | None:
    """The smallest true mean difference that a paired comparison of n items finds with probability ``power``.

    The root of `paired_power` in ``effect``, found by halving. See the module for source and assumptions.

    n = 0 and 1: None; there is no test. n = 2: defined, and many deviations.

    Args:
        deviation: Standard deviation of the differences, above 0.
        n: Items.
        alpha: The allowed rate of false positives.
        power: The wanted probability, above ``alpha``.

    Raises:
        ValueError: An argument is out of range or not finite.
    """
    _check_aims(deviation, alpha, power)
    if n < 0:
        raise ValueError(f"n is {n}; it must be at least 0")
    if n < 2:
        return None
    low, high = 0.0, 1.0
    while _power(high, n, alpha) < power:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, n, alpha) < power else (low, middle)
    return high * deviation


def items_needed(
    effect: float, deviation: float, *, alpha: float = DEFAULT_ALPHA, power: float = DEFAULT_POWER
) -> int | None:
    """The fewest items with which a paired comparison finds a true mean difference of ``effect``.

    The smallest n of at least 2 whose `paired_power` reaches ``power``. See the module for source and assumptions.

    None for an effect of 0, which no number finds, and for one that takes more than `MAX_ITEMS`.

    Args:
        effect: The true mean difference worth finding.
        deviation: Standard deviation of the differences, above 0.
        alpha: The allowed rate of false positives.
        power: The wanted probability, above ``alpha``.

    Raises:
        ValueError: An argument is out of range or not finite.
    """
    _check_aims(deviation, alpha, power)
    if not math.isfinite(effect):
        raise ValueError(f"effect is {effect}; it must be finite")
    ratio = abs(effect) / deviation
    if _power(ratio, MAX_ITEMS, alpha) < power:
        return None
    low, high = 1, 2
    while _power(ratio, high, alpha) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _power(ratio, middle, alpha) < power else (low, middle)
    return high


def _power(ratio: float, n: int, alpha: float) -> float:
    critical = student_quantile(1 - alpha / 2, n - 1)
    shift = ratio * math.sqrt(n)
    if n >= _NORMAL_FROM or shift > critical + 30:
        return _normal_tail(critical - shift) + _normal_tail(critical + shift)
    below = noncentral_student_probability(critical, n - 1, shift)
    return 1 - below + noncentral_student_probability(-critical, n - 1, shift)


def _normal_tail(value: float) -> float:
    return math.erfc(value / math.sqrt(2)) / 2


def _check_aims(deviation: float, alpha: float, power: float) -> None:
    check_share("alpha", alpha)
    check_share("power", power)
    _check_deviation(deviation)
    if power <= alpha:
        raise ValueError(f"power is {power}; it must be above alpha = {alpha}")


def _check_deviation(deviation: float) -> None:
    if not (math.isfinite(deviation) and deviation > 0):
        raise ValueError(f"deviation is {deviation}; it must be finite and above 0")
