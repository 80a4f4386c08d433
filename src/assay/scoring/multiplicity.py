"""Several tests at once: the more are made, the likelier one is significant by chance."""

from __future__ import annotations

from collections.abc import Sequence


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given.

    With ``p(1) ≤ … ≤ p(k)`` sorted, ``adjusted(i) = min(1, max over j ≤ i of (k - j + 1) p(j))``. Holm 1979, "A simple
    sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6. Rejecting where the adjusted
    value is at most alpha keeps the probability of any false rejection at alpha. Assumes nothing about how the tests
    depend on each other; each p value must be valid on its own.

    n = 0: an empty list. n = 1: the value itself. n = 2: the smaller doubled; the larger as it is, but not below that.

    Raises:
        ValueError: A value is not from 0 to 1.
    """
    if wrong := [p for p in p_values if not 0 <= p <= 1]:
        raise ValueError(f"p value {wrong[0]}; it must be from 0 to 1")
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted
