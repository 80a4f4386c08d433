"""One split of the cases, made once: what is learned from, what is decided by, and what is measured on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TRAIN_SHARE: Final = 0.4
VALIDATION_SHARE: Final = 0.35


@dataclass(frozen=True, slots=True)
class Split:
    """Places of cases, each in one part only, in their own order."""

    train: tuple[int, ...]
    """Proposals see these, with what went wrong."""
    validation: tuple[int, ...]
    """Candidates are kept or discarded by these."""
    test: tuple[int, ...]
    """Sealed: looked at once, when nothing is left to decide."""


def split_items(
    keys: Sequence[str],
    *,
    seed: int,
    train: float = TRAIN_SHARE,
    validation: float = VALIDATION_SHARE,
) -> Split:
    """Split cases at random, keeping equal ones together.

    A case that is in two parts would let a candidate be measured on what it was made from, so cases with one key go
    into one part. The parts are filled group by group in random order, so their sizes are near the shares, not equal
    to them.

    n = 0: three empty parts. n = 1: the training part only. n = 2: training and validation.

    Args:
        keys: What makes cases equal, one per case.
        seed: The same seed gives the same split.
        train: Share of the training part, above 0.
        validation: Share of the validation part; the sealed test is what is left.

    Raises:
        ValueError: A share is not above 0, or nothing is left for the test.
    """
    if train <= 0 or validation <= 0 or train + validation >= 1:
        raise ValueError(f"shares of {train} and {validation} leave a part empty")
    groups: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    wanted = (train * len(keys), validation * len(keys), (1 - train - validation) * len(keys))
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for group in order:
        # The part that lacks most; the first of equals, so that one lonely case is learned from.
        neediest = max(range(3), key=lambda part: (wanted[part] - len(parts[part]), -part))
        parts[neediest].extend(group)
    return Split(*(tuple(sorted(part)) for part in parts))
