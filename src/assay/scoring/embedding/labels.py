"""classification and multilabel_classification: can a simple classifier tell labels from vectors?

Each experiment draws about ``samples_per_label`` training texts of each label, fits a classifier to their vectors and
predicts the labels of all evaluated texts; metrics are means over the experiments. Draws follow MTEB's:

- classification: the training rows are shuffled by ``RandomState(seed)``, each time starting from the order that the
  last experiment left; rows are taken while their label has too few. Logistic regression, 100 iterations.
- multilabel: the rows are shuffled by one ``default_rng(seed)``; a row is taken while any of its labels has too few.
  Five nearest neighbours. Labels that no evaluated text has do not count.

Predictions of all experiments share the evaluated texts, so intervals come from resampling those: Student's t over the
texts' shares of right predictions for accuracy, the percentile bootstrap for the other metrics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.scoring.aggregation import Aggregate, IntervalMethod, MetricAccumulator, make_aggregate
from assay.scoring.embedding import ProtocolResult, Vectors
from assay.scoring.statistics import DEFAULT_LEVEL, percentile_interval

CLASSIFICATION_METRICS: Final = (
    "accuracy", "f1", "f1_weighted", "precision", "precision_weighted", "recall", "recall_weighted",
)  # fmt: skip
MULTILABEL_METRICS: Final = ("lrap", "accuracy", "f1", "hamming")
RESAMPLES: Final = 200
NEIGHBOURS: Final = 5
_ITERATIONS: Final = 100

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How training texts are drawn."""

    samples_per_label: int = 8
    experiments: int = 10
    seed: int = 42


def score_classification(
    train: Vectors,
    train_labels: Sequence[Hashable],
    vectors: Vectors,
    labels: Sequence[Hashable],
    *,
    sampling: Sampling,
    level: float = DEFAULT_LEVEL,
) -> ProtocolResult:
    """Score vectors of labelled texts.

    With two labels, ``ap`` is added, the average precision of the greater label.

    Args:
        train: Shape (m, d).
        train_labels: m labels.
        vectors: Of the evaluated texts, shape (n, d).
        labels: n labels.
        sampling: How training texts are drawn.
        level: Of the intervals.

    Raises:
        ValueError: Training texts have fewer than two labels.
    """
    names = sort_labels({*train_labels, *labels})
    places = {label: place for place, label in enumerate(names)}
    known = np.array([places[label] for label in train_labels], dtype=np.int64)
    gold = np.array([places[label] for label in labels], dtype=np.int64)
    if len(np.unique(known)) < 2:
        raise ValueError("a classifier needs training texts of at least two labels")
    predicted = [
        _fit_logistic(train[rows], known[rows], vectors, sampling.seed) for rows in draw_rows(known.tolist(), sampling)
    ]
    shares = np.mean([guess == gold for guess in predicted], axis=0)
    binary = len(np.unique(gold)) == 2

    def measure(weights: Floats | None) -> dict[str, float]:
        each = [confusion_metrics(_confusion(gold, guess, len(names), weights), binary=binary) for guess in predicted]
        return {metric: float(np.mean([found[metric] for found in each])) for metric in each[0]}

    metrics = _with_intervals(measure, len(gold), level)
    return ProtocolResult({**metrics, "accuracy": _mean(shares, level)}, [{"accuracy": float(s)} for s in shares])


def draw_rows(labels: Sequence[Hashable], sampling: Sampling) -> list[list[int]]:
    """Training rows of each experiment of a classification task."""
    order = list(range(len(labels)))
    drawn: list[list[int]] = []
    for _ in range(sampling.experiments):
        np.random.RandomState(_seed(sampling.seed)).shuffle(order)
        counts: dict[Hashable, int] = defaultdict(int)
        rows: list[int] = []
        for row in order:
            if counts[labels[row]] < sampling.samples_per_label:
                counts[labels[row]] += 1
                rows.append(row)
        drawn.append(rows)
    return drawn


def draw_multilabel_rows(labels: Sequence[Sequence[Hashable]], sampling: Sampling) -> list[list[int]]:
    """Training rows of each experiment of a multilabel task."""
    random = np.random.default_rng(_seed(sampling.seed))
    drawn: list[list[int]] = []
    for _ in range(sampling.experiments):
        order = list(range(len(labels)))
        random.shuffle(order)
        counts: dict[Hashable, int] = defaultdict(int)
        rows: list[int] = []
        for row in order:
            if any(counts[label] < sampling.samples_per_label for label in labels[row]):
                rows.append(row)
                for label in labels[row]:
                    counts[label] += 1
        drawn.append(rows)
    return drawn


def _seed(seed: int) -> int:
    """The seed as NumPy takes it: its legacy generator knows 32 bits, none knows negative ones."""
    return seed % 2**32


def sort_labels(labels: set[Hashable]) -> list[Hashable]:
    """Numbers by size, everything else by its text after them."""
    return sorted(labels, key=lambda label: (0, label, "") if isinstance(label, int | float) else (1, 0, str(label)))


def _fit_logistic(train: Vectors, labels: Integers, vectors: Vectors, seed: int) -> Integers:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classifier: Any = LogisticRegression(max_iter=_ITERATIONS, random_state=_seed(seed))
    with _ignoring(ConvergenceWarning):
        return np.asarray(classifier.fit(train, labels).predict(vectors), dtype=np.int64)


def _confusion(gold: Integers, guess: Integers, labels: int, weights: Floats | None) -> Floats:
    """Counts by gold label (row) and predicted label (column)."""
    counts = np.bincount(gold * labels + guess, weights=weights, minlength=labels * labels)
    return counts.astype(np.float64).reshape(labels, labels)


def confusion_metrics(matrix: Floats, *, binary: bool = False) -> dict[str, float]:
    """Macro and weighted precision, recall and F1, and accuracy, as scikit-learn defines them.

    Macro means run over labels that occur as gold or prediction. What would be divided by zero is 0.

    Args:
        matrix: Counts by gold label (row) and predicted label (column).
        binary: Add ``ap``, the average precision of the last label that occurs as gold.
    """
    right, golds, guesses = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    precision, recall = _ratio(right, guesses), _ratio(right, golds)
    f1 = _ratio(2 * right, golds + guesses)
    occurs = (golds + guesses) > 0
    total = float(golds.sum())
    found = {"accuracy": float(right.sum()) / total}
    for name, values in (("f1", f1), ("precision", precision), ("recall", recall)):
        found[name] = float(values[occurs].mean())
        found[f"{name}_weighted"] = float((values * golds).sum()) / total
    if binary:
        last = int(np.flatnonzero(golds)[-1])
        found["ap"] = float(recall[last] * precision[last] + (1 - recall[last]) * golds[last] / total)
    return found


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below > 0)


def score_multilabel(
    train: Vectors,
    train_labels: Sequence[Sequence[Hashable]],
    vectors: Vectors,
    labels: Sequence[Sequence[Hashable]],
    *,
    sampling: Sampling,
    level: float = DEFAULT_LEVEL,
) -> ProtocolResult:
    """Score vectors of texts with any number of labels; arguments as ``score_classification``.

    Raises:
        ValueError: There are fewer training texts than neighbours, or no evaluated text has a label.
    """
    names = sort_labels({label for row in labels for label in row})
    if not names:
        raise ValueError("no evaluated text has a label")
    places = {label: place for place, label in enumerate(names)}
    known, gold = _indicators(train_labels, places), _indicators(labels, places)
    predicted: list[Integers] = []
    for rows in draw_multilabel_rows(train_labels, sampling):
        if len(rows) < NEIGHBOURS:
            raise ValueError(f"{NEIGHBOURS} training texts with labels are needed; {len(rows)} could be drawn")
        predicted.append(_nearest(train[rows], known[rows], vectors))
    exact = np.mean([(guess == gold).all(axis=1) for guess in predicted], axis=0)
    ranked = np.mean([_ranking_precision(gold, guess) for guess in predicted], axis=0)
    hamming = np.mean([_hamming(gold, guess) for guess in predicted], axis=0)

    def measure(weights: Floats | None) -> dict[str, float]:
        return {"f1": float(np.mean([_macro_f1(gold, guess, weights) for guess in predicted]))}

    means = {"lrap": ranked, "accuracy": exact, "hamming": hamming}
    found = {name: _mean(values, level) for name, values in means.items()} | _with_intervals(measure, len(gold), level)
    samples = [{name: float(values[row]) for name, values in means.items()} for row in range(len(gold))]
    return ProtocolResult({name: found[name] for name in MULTILABEL_METRICS}, samples)


def _indicators(rows: Sequence[Sequence[Hashable]], places: Mapping[Hashable, int]) -> Integers:
    matrix = np.zeros((len(rows), len(places)), dtype=np.int64)
    for number, labels in enumerate(rows):
        for label in labels:
            if label in places:
                matrix[number, places[label]] = 1
    return matrix


def _nearest(train: Vectors, labels: Integers, vectors: Vectors) -> Integers:
    from sklearn.neighbors import KNeighborsClassifier

    classifier: Any = KNeighborsClassifier(n_neighbors=NEIGHBOURS)
    return np.asarray(classifier.fit(train, labels).predict(vectors), dtype=np.int64).reshape(len(vectors), -1)


def _ranking_precision(gold: Integers, guess: Integers) -> Floats:
    """Label ranking average precision of each text, with predictions (0 or 1) as scores.

    It is 1 where no label is gold, or all are. A gold label's rank is the number of labels that are scored at least as
    high, as scikit-learn has it.
    """
    labels = gold.shape[1]
    positive = guess.sum(axis=1)
    hits = (gold & guess).sum(axis=1)
    golds = gold.sum(axis=1)
    # Labels predicted rank first together; all others share the last rank.
    first = hits * _ratio(hits.astype(np.float64), positive.astype(np.float64))
    rest = (golds - hits) * golds / labels
    return np.where((golds == 0) | (golds == labels), 1.0, _ratio(first + rest, golds.astype(np.float64)))


def _hamming(gold: Integers, guess: Integers) -> Floats:
    union = (gold | guess).sum(axis=1).astype(np.float64)
    return np.where(union == 0, 1.0, _ratio((gold & guess).sum(axis=1).astype(np.float64), union))


def _macro_f1(gold: Integers, guess: Integers, weights: Floats | None) -> float:
    each = np.ones(len(gold)) if weights is None else weights
    right = each @ (gold & guess)
    return float(_ratio(2 * right, each @ gold + each @ guess).mean())


def _mean(values: Floats, level: float) -> Aggregate:
    accumulator = MetricAccumulator()
    accumulator.add_many(values)
    return accumulator.aggregate(level=level)


def _with_intervals(measure: Callable[[Floats | None], dict[str, float]], n: int, level: float) -> dict[str, Aggregate]:
    """Metrics of all samples, and their bootstrap intervals over samples; the seed is fixed."""
    values = measure(None)
    random = np.random.default_rng(0)
    draws = [
        measure(np.bincount(random.integers(0, n, size=n), minlength=n).astype(np.float64)) for _ in range(RESAMPLES)
    ]
    found: dict[str, Aggregate] = {}
    for metric, value in values.items():
        interval = None if n < 2 else percentile_interval(np.array([draw[metric] for draw in draws]), level=level)
        method = IntervalMethod.BOOTSTRAP_PERCENTILE
        found[metric] = make_aggregate(value, n=n, unscored=0, interval=interval, method=method, level=level)
    return found


def _ignoring(category: type[Warning]) -> Any:
    import warnings

    return warnings.catch_warnings(action="ignore", category=category)
