"""Quantiles and tails of the distributions that the statistics rest on, and the checks of their arguments."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def normal_quantile(probability: float) -> float:
    """The standard normal quantile; ``probability`` lies between 0 and 1, both excluded."""
    return NormalDist().inv_cdf(probability)


def normal_probability(value: float) -> float:
    """The standard normal distribution function."""
    return NormalDist().cdf(value)


@lru_cache(maxsize=1024)
def student_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's distribution with ``freedom`` degrees of freedom, at least 1."""
    return float(_special().stdtrit(freedom, probability))


def noncentral_student_probability(value: float, freedom: int, shift: float) -> float:
    """The distribution function of the noncentral t distribution with noncentrality ``shift``."""
    return float(_special().nctdtr(freedom, shift, value))


def binomial_probability(successes: int, n: int, p: float) -> float:
    """The probability of at most ``successes`` in ``n`` trials of probability ``p``."""
    return float(_special().bdtr(successes, n, p))


def check_share(name: str, value: float) -> None:
    """Refuse a probability that is not strictly between 0 and 1.

    Raises:
        ValueError: It is not; the message says ``name``.
    """
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; it must lie between 0 and 1")


def finite_array(name: str, values: object) -> FloatArray:
    """One-dimensional numbers as an array.

    Raises:
        ValueError: They are not one-dimensional, or one is not finite; the message says ``name``.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} has {array.ndim} dimensions; it must have one")
    if not math.isfinite(float(np.abs(array).sum())):
        raise ValueError(f"{name} must be finite; leave out what was not scored")
    return array


def _special() -> Any:
    # Imported here because loading SciPy would dominate the start of every process that only scores.
    from scipy import special

    return special
