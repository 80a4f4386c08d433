"""Several repeats per item: what one of k tries would reach, what all of k would, and the mean.

An item with n repeats estimates each for any k up to n. Items are averaged with equal weight; an item with too few
repeats has no estimate, and is counted, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from assay.scoring.distributions import finite_array
from assay.scoring.statistics import DEFAULT_LEVEL, Interval, t_interval

_Result = TypeVar("_Result", bool, float)
PassEstimator = Callable[[int, int, int], float | None]
"""From passes, repeats and k: `pass_at_k` or `pass_hat_k`."""


@dataclass(frozen=True)
class RepeatEstimate:
    """The mean over ``items``; ``left_out`` have too few repeats. The mean is None without items."""

    mean: float | None
    items: int
    left_out: int
    interval: Interval | None = None
    """Of the mean, over items as the independent units (`t_interval`), cut to what the mean can be."""


def pass_at_k(passes: int, n: int, k: int) -> float | None:
    """The probability that at least one of k tries passes, unbiased, from n repeats.

    ``1 - C(n - passes, k) / C(n, k)``, the share of subsets of k repeats in which one passes. Chen et al. 2021,
    "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, equation 1. Assumes independent repeats of one
    item. The plug-in ``1 - (1 - passes / n)^k`` is biased downwards.

    n < k: None; so n = 0 is always None, n = 1 allows k = 1 only and n = 2 allows k = 1 and 2.

    Args:
        passes: Repeats that passed, from 0 to ``n``.
        n: Repeats.
        k: Tries, at least 1.

    Raises:
        ValueError: An argument is out of range.
    """
    _check_counts(passes, n, k)
    return None if n < k else 1 - math.comb(n - passes, k) / math.comb(n, k)


def pass_hat_k(passes: int, n: int, k: int) -> float | None:
    """The probability that all of k tries pass (pass^k), unbiased, from n repeats.

    ``C(passes, k) / C(n, k)``. Yao et al. 2024, "τ-bench: A Benchmark for Tool-Agent-User Interaction in Real-World
    Domains", arXiv 2406.12045. Assumes independent repeats of one item.

    n < k: None; so n = 0 is always None, n = 1 allows k = 1 only and n = 2 allows k = 1 and 2.

    Args:
        passes: Repeats that passed, from 0 to ``n``.
        n: Repeats.
        k: Tries, at least 1.

    Raises:
        ValueError: An argument is out of range.
    """
    _check_counts(passes, n, k)
    return None if n < k else math.comb(passes, k) / math.comb(n, k)


def mean_of_k(scores: Sequence[float], k: int) -> float | None:
    """The expected mean of k repeats of one item, from n.

    The mean over all n, which is the mean over all subsets of k: using every repeat has the same expectation as taking
    the first k, and less variance. Assumes repeats that are exchangeable.

    n < k: None, as with `pass_at_k`, so that all three rest on the same items.

    Args:
        scores: n scores of one item.
        k: Tries, at least 1.

    Raises:
        ValueError: ``k`` is below 1, or a score is not finite.
    """
    _check_counts(0, len(scores), k)
    array = finite_array("scores", scores)
    return None if len(scores) < k else float(array.mean())


def mean_pass_at_k(items: Sequence[Sequence[bool]], k: int) -> RepeatEstimate:
    """`pass_at_k`, averaged over items of at least k repeats.

    No such item: mean None. One or two: their mean, which says little about others.

    Args:
        items: For each item, whether each repeat passed.
        k: Tries, at least 1.

    Raises:
        ValueError: ``k`` is below 1.
    """
    return _over_items(items, lambda item: pass_at_k(sum(item), len(item), k))


def mean_pass_hat_k(items: Sequence[Sequence[bool]], k: int) -> RepeatEstimate:
    """`pass_hat_k`, averaged over items of at least k repeats; else as `mean_pass_at_k`.

    Raises:
        ValueError: ``k`` is below 1.
    """
    return _over_items(items, lambda item: pass_hat_k(sum(item), len(item), k))


def passes_estimate(
    counts: Mapping[tuple[int, int], int], k: int, estimate: PassEstimator, *, level: float = DEFAULT_LEVEL
) -> RepeatEstimate:
    """`mean_pass_at_k` or `mean_pass_hat_k` with an interval, from counts of items that are alike.

    The interval is Student's over the items' estimates, since items are independent and repeats of one are not; it is
    cut to 0 to 1. No items: nothing. One item, or items that all are alike: no interval. Two: valid and very wide.

    Args:
        counts: Number of items by (passes, repeats).
        k: Tries, at least 1.
        estimate: `pass_at_k` or `pass_hat_k`.
        level: Between 0 and 1, both excluded.

    Raises:
        ValueError: A count or an argument is out of range.
    """
    values: list[tuple[float, int]] = []
    left_out = 0
    for (passes, repeats), items in counts.items():
        value = estimate(passes, repeats, k)
        if value is None:
            left_out += items
        else:
            values.append((value, items))
    n = sum(items for _, items in values)
    if n == 0:
        return RepeatEstimate(None, 0, left_out)
    mean = math.fsum(value * items for value, items in values) / n
    squares = math.fsum(items * (value - mean) ** 2 for value, items in values)
    alike = len({value for value, _ in values}) == 1
    interval = None if alike else t_interval(mean, squares / (n - 1), n, level=level)
    if interval is not None:
        interval = Interval(max(0.0, interval.low), min(1.0, interval.high))
    return RepeatEstimate(mean, n, left_out, interval)


def mean_mean_of_k(items: Sequence[Sequence[float]], k: int) -> RepeatEstimate:
    """`mean_of_k`, averaged over items of at least k repeats; else as `mean_pass_at_k`.

    Raises:
        ValueError: ``k`` is below 1, or a score is not finite.
    """
    return _over_items(items, lambda item: mean_of_k(item, k))


def _over_items(
    items: Sequence[Sequence[_Result]], estimate: Callable[[Sequence[_Result]], float | None]
) -> RepeatEstimate:
    known = [value for value in map(estimate, items) if value is not None]
    mean = math.fsum(known) / len(known) if known else None
    return RepeatEstimate(mean, len(known), len(items) - len(known))


def _check_counts(passes: int, n: int, k: int) -> None:
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    if not 0 <= passes <= n:
        raise ValueError(f"passes is {passes}; it must be from 0 to n = {n}")
