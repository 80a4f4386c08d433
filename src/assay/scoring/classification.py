"""Accuracy, F1 and the confusion matrix of a classification task.

Samples are kept as counts of (expected label, predicted label), so memory follows the number of different pairs, not of
samples. The labels are the task's choices; without choices, the labels that occur as targets. A prediction that is
none of them goes to the matrix's last column, *unparsed*: it is a miss for its expected label and a false alarm for
none. F1 of a label is ``2 TP / (2 TP + FP + FN)``.

- **macro**: the plain mean over labels that occur at all, as target or prediction.
- **micro**: the F1 of the summed counts. It equals accuracy when nothing is unparsed, and is above it otherwise.
- **weighted**: the mean weighted by how often each label is the target.

Accuracy has Wilson's interval. The F1s have a seeded percentile bootstrap; drawing the cells of the matrix from a
multinomial distribution is the same as drawing samples with replacement, at a cost that does not grow with n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.scoring.aggregation import Aggregate, IntervalMethod, make_aggregate
from assay.scoring.statistics import (
    DEFAULT_LEVEL,
    DEFAULT_RESAMPLES,
    FloatArray,
    percentile_interval,
    wilson_interval,
)

MAX_LABELS: Final = 1_000
MAX_CELLS: Final = 20_000
"""Different (expected, predicted) pairs; past it the answers are free text, not labels."""
_MAX_LABEL_CHARS: Final = 200
_MAX_DRAWS: Final = 1_500_000
_MIN_RESAMPLES: Final = 200

_Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """How often each label was taken for each."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """One row per expected label; one column per predicted label in the same order, then one for unparsed."""


@dataclass(frozen=True, slots=True)
class ClassificationReport:
    """Aggregates of one task and model."""

    accuracy: Aggregate
    f1_macro: Aggregate | None
    """The F1s and the matrix are None when there were too many different labels or pairs to keep apart."""
    f1_micro: Aggregate | None
    f1_weighted: Aggregate | None
    confusion: ConfusionMatrix | None


class _F1Aggregates(NamedTuple):
    macro: Aggregate
    micro: Aggregate
    weighted: Aggregate


@dataclass(slots=True)
class ClassificationAccumulator:
    """Counts of expected and predicted labels, in constant room per different pair."""

    labels: tuple[str, ...] = ()
    """The task's choices, in order; targets add what is missing."""
    _cells: dict[tuple[str, str | None], int] = field(default_factory=dict[tuple[str, str | None], int])
    _n: int = 0
    _correct: int = 0
    _unscored: int = 0
    _overflowed: bool = False

    def add(self, expected: str, predicted: str | None, *, count: int = 1) -> None:
        """Take in samples with this target and answer, as ``Scored.expected`` and ``Scored.predicted`` give them.

        Args:
            expected: The target's label.
            predicted: The answer's label; None when it is none.
            count: How many such samples; lets a database group them first.
        """
        self._n += count
        if predicted == expected:
            self._correct += count
        if predicted is not None and len(predicted) > _MAX_LABEL_CHARS and predicted != expected:
            predicted = None
        self._count_cell((expected, predicted), count)

    def add_unscored(self, count: int = 1) -> None:
        """Count samples that had no usable target."""
        self._unscored += count

    def merge(self, other: ClassificationAccumulator) -> None:
        """Take in everything that another accumulator of the same task has seen."""
        self._n += other._n
        self._correct += other._correct
        self._unscored += other._unscored
        self._overflowed = self._overflowed or other._overflowed
        for cell, count in other._cells.items():
            self._count_cell(cell, count)

    def report(
        self, *, level: float = DEFAULT_LEVEL, resamples: int = DEFAULT_RESAMPLES, seed: int = 0
    ) -> ClassificationReport:
        """The aggregates of everything taken in.

        Args:
            level: Confidence level, between 0 and 1.
            resamples: Bootstrap draws for the F1s. Fewer are made for matrices with over a thousand filled cells, and
                no interval is given where fewer than 200 would fit the budget.
            seed: Of the bootstrap.

        Raises:
            ValueError: ``level`` is not between 0 and 1.
        """
        n = self._n
        accuracy = make_aggregate(
            self._correct / n if n else None,
            n=n,
            unscored=self._unscored,
            interval=wilson_interval(self._correct, n, level=level),
            method=IntervalMethod.WILSON,
            level=level,
        )
        labels = tuple(dict.fromkeys((*self.labels, *sorted({expected for expected, _ in self._cells}))))
        if self._overflowed or len(labels) > MAX_LABELS:
            return ClassificationReport(accuracy, None, None, None, None)
        table = _tabulate(self._cells, labels)
        f1 = self._aggregate_f1(table, level=level, resamples=resamples, seed=seed)
        return ClassificationReport(accuracy, f1.macro, f1.micro, f1.weighted, table.to_matrix())

    def _count_cell(self, cell: tuple[str, str | None], count: int) -> None:
        if cell in self._cells:
            self._cells[cell] += count
        elif len(self._cells) < MAX_CELLS:
            self._cells[cell] = count
        else:
            self._overflowed = True

    def _aggregate_f1(self, table: _Table, *, level: float, resamples: int, seed: int) -> _F1Aggregates:
        if self._n == 0:
            empty = make_aggregate(
                None, n=0, unscored=self._unscored, interval=None, method=IntervalMethod.NONE, level=level
            )
            return _F1Aggregates(empty, empty, empty)
        values = table.f1_scores(table.counts[np.newaxis, :])[:, 0]
        replicates = table.f1_scores(table.draw(resamples, seed))
        aggregates = [
            make_aggregate(
                float(value),
                n=self._n,
                unscored=self._unscored,
                interval=percentile_interval(drawn, level=level),
                method=IntervalMethod.BOOTSTRAP_PERCENTILE,
                level=level,
            )
            for value, drawn in zip(values, replicates, strict=True)
        ]
        return _F1Aggregates(*aggregates)


@dataclass(frozen=True, slots=True)
class _Table:
    """The filled cells of a confusion matrix, as k parallel arrays."""

    labels: tuple[str, ...]
    rows: _Integers
    """Index of the expected label."""
    columns: _Integers
    """Index of the predicted label; ``len(labels)`` for unparsed."""
    counts: _Integers

    def to_matrix(self) -> ConfusionMatrix:
        dense = np.zeros((len(self.labels), len(self.labels) + 1), dtype=np.int64)
        dense[self.rows, self.columns] = self.counts
        return ConfusionMatrix(self.labels, tuple(tuple(row) for row in dense.tolist()))

    def draw(self, resamples: int, seed: int) -> FloatArray:
        """Bootstrap resamples of the cells' counts, of shape (r, k); r is 0 when k is too large for a useful number."""
        affordable = min(resamples, _MAX_DRAWS // max(len(self.counts), 1))
        if affordable < min(resamples, _MIN_RESAMPLES):
            affordable = 0
        total = int(self.counts.sum())
        rng = np.random.default_rng(seed)
        return rng.multinomial(total, self.counts / total, size=affordable).astype(np.float64)

    def f1_scores(self, counts: NDArray[np.generic]) -> FloatArray:
        """Macro, micro and weighted F1, of shape (3, r), for counts of shape (r, k)."""
        size = len(self.labels)
        values = counts.astype(np.float64)
        expected = _sum_by(values, self.rows, size)
        predicted = _sum_by(values, self.columns, size + 1)[:, :size]
        hits = _sum_by(np.where(self.rows == self.columns, values, 0.0), self.rows, size)
        occurring = expected + predicted
        f1 = np.divide(2 * hits, occurring, out=np.zeros_like(hits), where=occurring > 0)
        macro = f1.sum(axis=1) / np.maximum((occurring > 0).sum(axis=1), 1)
        micro = 2 * hits.sum(axis=1) / occurring.sum(axis=1)
        weighted = (f1 * expected).sum(axis=1) / expected.sum(axis=1)
        return np.stack([macro, micro, weighted])


def _tabulate(cells: dict[tuple[str, str | None], int], labels: Sequence[str]) -> _Table:
    """Index the cells by label, joining those whose prediction is no label."""
    position = {label: index for index, label in enumerate(labels)}
    unparsed = len(position)
    joined: dict[tuple[int, int], int] = {}
    for (expected, predicted), count in cells.items():
        column = unparsed if predicted is None else position.get(predicted, unparsed)
        cell = (position[expected], column)
        joined[cell] = joined.get(cell, 0) + count
    # Sorted, so that the draws do not depend on the order in which samples arrived.
    ordered = sorted(joined.items())
    rows = np.array([row for (row, _), _ in ordered], dtype=np.int64)
    columns = np.array([column for (_, column), _ in ordered], dtype=np.int64)
    return _Table(tuple(position), rows, columns, np.array([count for _, count in ordered], dtype=np.int64))


def _sum_by(values: FloatArray, groups: _Integers, size: int) -> FloatArray:
    """Sum the columns of (r, k) values by group: shape (r, size)."""
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    sums = np.zeros((len(values), size), dtype=np.float64)
    if len(present):
        sums[:, present] = np.add.reduceat(values[:, order], starts, axis=1)
    return sums
