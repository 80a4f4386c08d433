"""Measures what the statistics promise: how often intervals hold the truth, and how often tests err.

    python -m benchmarks.statistics           measure all, and write benchmarks/statistics.json and docs/statistics.md
    python -m benchmarks.statistics --check   only say what differs from what is written

Every simulation is seeded, so that the same code gives the same numbers.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from assay.scoring.agreement import cohen_kappa, pass_confusion
from assay.scoring.clusters import BootstrapMethod, ClusterCorrection, cluster_bootstrap_interval, clustered_mean
from assay.scoring.comparing import PairedScores, compare_all
from assay.scoring.correction import prediction_powered, rogan_gladen
from assay.scoring.multiplicity import holm_adjusted
from assay.scoring.paired import IntervalMethod, mcnemar_test, paired_difference, sign_flip_test
from assay.scoring.power import items_needed
from assay.scoring.repeats import pass_at_k, pass_hat_k, passes_estimate
from assay.scoring.statistics import Interval, bootstrap_interval, t_interval, wilson_interval
from assay.scoring.verdicts import Verdict, compare_paired

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks" / "statistics.json"
PAGE = ROOT / "docs" / "statistics.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

Trial = Callable[[Generator], bool | None]
"""One simulated evaluation: whether the interval held the truth, or the test erred; None when it said nothing."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is measured."""

    name: str
    setting: str
    nominal: float
    low: float
    """Between here and ``high`` the measured share is as promised."""
    high: float
    trial: Trial
    trials: int = 2000


def share(simulation: Simulation, *, trials: int | None = None) -> float:
    """The share of trials that are true, of those that said something."""
    seed = np.random.SeedSequence([len(simulation.name), *simulation.name.encode()])
    rng = np.random.default_rng(seed)
    outcomes = [simulation.trial(rng) for _ in range(trials or simulation.trials)]
    said = [outcome for outcome in outcomes if outcome is not None]
    return sum(said) / len(said)


def _holds(interval: Interval | None, truth: float) -> bool | None:
    return None if interval is None else interval.low <= truth <= interval.high


def _wilson(n: int, p: float) -> Trial:
    return lambda rng: _holds(wilson_interval(int(rng.binomial(n, p)), n), p)


def _t(n: int) -> Trial:
    def trial(rng: Generator) -> bool | None:
        values = rng.exponential(1.0, n)
        return _holds(t_interval(float(values.mean()), float(values.var(ddof=1)), n), 1.0)

    return trial


def _bootstrap(n: int) -> Trial:
    def trial(rng: Generator) -> bool | None:
        values = rng.exponential(1.0, n)
        return _holds(bootstrap_interval(values, lambda draws: np.asarray(draws.mean(axis=1)), resamples=400), 1.0)

    return trial


def _paired(method: IntervalMethod) -> Trial:
    def trial(rng: Generator) -> bool | None:
        a = rng.exponential(1.0, 40)
        b = a + rng.exponential(0.5, 40) - 0.3
        found = paired_difference(a, b, method=method, resamples=400)
        return None if found is None else _holds(found.interval, 0.2)

    return trial


def _clusters(kind: ClusterCorrection | BootstrapMethod | None) -> Trial:
    def trial(rng: Generator) -> bool | None:
        effects = rng.normal(0, 1, 40)
        sizes = rng.integers(2, 7, 40)
        clusters = np.repeat(np.arange(40), sizes)
        values = effects[clusters] + rng.normal(0, 1, len(clusters))
        labels: list[int] = clusters.tolist()
        if kind is None:
            interval = t_interval(float(values.mean()), float(values.var(ddof=1)), len(values))
        elif isinstance(kind, ClusterCorrection):
            found = clustered_mean(values, labels, correction=kind)
            interval = None if found is None else found.interval
        else:
            interval = cluster_bootstrap_interval(values, labels, method=kind, resamples=400)
        return _holds(interval, 0.0)

    return trial


def _passes(kind: str) -> Trial:
    estimator, power = (pass_at_k, 1) if kind == "pass@3" else (pass_hat_k, 0)

    def trial(rng: Generator) -> bool | None:
        shares = rng.beta(2, 2, 60)
        passes = rng.binomial(6, shares)
        counts: dict[tuple[int, int], int] = {}
        for count in passes.tolist():
            counts[count, 6] = counts.get((count, 6), 0) + 1
        # Of Beta(2, 2): E(p³) = 2·3·4 / (4·5·6), and E((1 - p)³) is the same.
        truth = 1 - 0.2 if power else 0.2
        return _holds(passes_estimate(counts, 3, estimator).interval, truth)

    return trial


def _sign_flips(rng: Generator) -> bool | None:
    a = rng.normal(0, 1, 10)
    found = sign_flip_test(a, a + rng.normal(0, 1, 10))
    return None if found is None else found.p <= 0.05


def _mcnemar(rng: Generator) -> bool | None:
    a, b = rng.random(100) < 0.7, rng.random(100) < 0.7
    found = mcnemar_test(int((a & ~b).sum()), int((b & ~a).sum()), n=100)
    return None if found is None else found.p <= 0.05


def _holm(rng: Generator) -> bool:
    return min(holm_adjusted(rng.random(5).tolist())) <= 0.05


def _power(rng: Generator) -> bool:
    n = items_needed(0.1, 0.4) or 0
    difference = paired_difference(np.zeros(n), rng.normal(0.1, 0.4, n))
    return difference is not None and difference.interval is not None and difference.interval.low > 0


def _verdict(rng: Generator) -> bool:
    items = rng.random(60)
    a, b = items + rng.normal(0, 0.2, 60), items + rng.normal(0, 0.2, 60)
    return compare_paired(a, b, flips=499).verdict is not Verdict.NOT_DECIDED


def _verdicts_of_five(rng: Generator) -> bool:
    pairs: list[PairedScores] = []
    for _ in range(5):
        a, b = rng.random(40) < 0.6, rng.random(40) < 0.6
        pairs.append(PairedScores(a.astype(float).tolist(), b.astype(float).tolist()))
    return any(one.comparison.verdict is not Verdict.NOT_DECIDED for one in compare_all(pairs))


def _judged(
    rng: Generator, n: int, rate: float, sensitivity: float, specificity: float
) -> tuple[list[bool], list[bool]]:
    truth = rng.random(n) < rate
    judged = np.where(truth, rng.random(n) < sensitivity, rng.random(n) >= specificity)
    return truth.tolist(), judged.tolist()


def _rogan_gladen(n: int, labelled: int) -> Trial:
    def trial(rng: Generator) -> bool | None:
        _, judged = _judged(rng, n, 0.7, 0.9, 0.85)
        truth, also_judged = _judged(rng, labelled, 0.7, 0.9, 0.85)
        found = rogan_gladen(sum(judged), n, pass_confusion(also_judged, truth))
        return None if found is None else _holds(found.interval, 0.7)

    return trial


def _uncorrected(rng: Generator) -> bool | None:
    _, judged = _judged(rng, 500, 0.7, 0.9, 0.7)
    return _holds(wilson_interval(sum(judged), 500), 0.7)


def _prediction_powered(labelled: int) -> Trial:
    def trial(rng: Generator) -> bool | None:
        truth, judged = _judged(rng, 1000 + labelled, 0.7, 0.9, 0.85)
        floats = [float(one) for one in judged]
        labels = [float(one) for one in truth[:labelled]]
        found = prediction_powered(floats[labelled:], floats[:labelled], labels)
        return None if found is None else _holds(found.interval, 0.7)

    return trial


def _kappa(n: int) -> Trial:
    # Labels of 0.6 and a rater who agrees with 0.85: p_e = 0.6 · 0.57 + 0.4 · 0.43.
    expected = 0.6 * 0.57 + 0.4 * 0.43
    truth = (0.85 - expected) / (1 - expected)

    def trial(rng: Generator) -> bool | None:
        a = rng.random(n) < 0.6
        b = np.where(rng.random(n) < 0.85, a, ~a)
        found = cohen_kappa(a.tolist(), b.tolist())
        return None if found is None else _holds(found.interval, truth)

    return trial


COVERAGE = (
    Simulation("Wilson, n = 10", "proportion 0.9", 0.95, 0.90, 0.99, _wilson(10, 0.9)),
    Simulation("Wilson, n = 100", "proportion 0.7", 0.95, 0.915, 0.97, _wilson(100, 0.7)),
    Simulation("Student's t, n = 30", "skewed (exponential)", 0.95, 0.90, 0.97, _t(30)),
    Simulation("Student's t, n = 300", "skewed (exponential)", 0.95, 0.93, 0.97, _t(300)),
    Simulation("percentile bootstrap, n = 30", "skewed (exponential)", 0.95, 0.88, 0.96, _bootstrap(30), 1000),
    Simulation("paired t, n = 40", "skewed differences", 0.95, 0.92, 0.97, _paired(IntervalMethod.STUDENT_T)),
    Simulation(
        "paired bootstrap, n = 40",
        "skewed differences",
        0.95,
        0.91,
        0.97,
        _paired(IntervalMethod.PERCENTILE_BOOTSTRAP),
        1000,
    ),
    Simulation("clustered t, CR1", "40 clusters of 2 to 6", 0.95, 0.92, 0.97, _clusters(ClusterCorrection.CR1)),
    Simulation("clustered t, CR0", "40 clusters of 2 to 6", 0.95, 0.91, 0.97, _clusters(ClusterCorrection.CR0)),
    Simulation(
        "cluster bootstrap, percentile", "40 clusters", 0.95, 0.90, 0.97, _clusters(BootstrapMethod.PERCENTILE), 1000
    ),
    Simulation("cluster bootstrap, BCa", "40 clusters", 0.95, 0.91, 0.97, _clusters(BootstrapMethod.BCA), 1000),
    Simulation("t without clusters", "the same data: what is wrong with it", 0.95, 0.60, 0.85, _clusters(None)),
    Simulation("pass@3 of 6 repeats", "60 items", 0.95, 0.92, 0.97, _passes("pass@3")),
    Simulation("pass^3 of 6 repeats", "60 items", 0.95, 0.92, 0.97, _passes("pass^3")),
    Simulation("Cohen's kappa, n = 50", "two labels, κ = 0.69", 0.95, 0.90, 0.97, _kappa(50)),
    Simulation("Cohen's kappa, n = 400", "two labels, κ = 0.69", 0.95, 0.92, 0.97, _kappa(400)),
    Simulation(
        "Rogan–Gladen, n = 500",
        "100 labels",
        0.95,
        0.93,
        0.97,
        _rogan_gladen(500, 100),
    ),
    Simulation(
        "Rogan–Gladen, n = 100",
        "40 labels",
        0.95,
        0.92,
        0.98,
        _rogan_gladen(100, 40),
    ),
    Simulation("judged rate, uncorrected", "specificity 0.7: what is wrong with it", 0.95, 0.0, 0.9, _uncorrected),
    Simulation("prediction-powered, 50 labels", "1,000 judged items", 0.95, 0.92, 0.97, _prediction_powered(50)),
    Simulation("prediction-powered, 200 labels", "1,000 judged items", 0.95, 0.93, 0.97, _prediction_powered(200)),
)
ERRORS = (
    Simulation("sign flips, n = 10", "no difference", 0.05, 0.03, 0.06, _sign_flips),
    Simulation("McNemar, n = 100", "no difference", 0.05, 0.01, 0.05, _mcnemar),
    Simulation("Holm, five tests", "any of five wrongly rejected", 0.05, 0.035, 0.06, _holm, 4000),
    Simulation("verdict, n = 60", "two that are alike, wrongly decided", 0.05, 0.02, 0.065, _verdict, 1000),
    Simulation("verdicts on five tasks", "any of five wrongly decided", 0.05, 0.0, 0.06, _verdicts_of_five, 500),
)
POWER = (Simulation("items_needed", "effect 0.1, deviation 0.4: planned power", 0.80, 0.77, 0.84, _power),)
GROUPS: Mapping[str, tuple[Simulation, ...]] = {
    "Share of intervals that hold the truth": COVERAGE,
    "Share of tests that err": ERRORS,
    "Share of differences that are found": POWER,
}


def error_of(measured: float, trials: int) -> float:
    """Standard error of a measured share."""
    return math.sqrt(max(measured * (1 - measured), 0.25 / trials) / trials)


def table(record: Mapping[str, float]) -> str:
    """What stands on the page."""
    parts: list[str] = []
    for title, simulations in GROUPS.items():
        rows = [
            f"| {one.name} | {one.setting} | {one.nominal:g} | {record[one.name]:.3f} | {one.trials:,} |"
            for one in simulations
        ]
        parts.append(f"**{title}**\n\n| | | promised | measured | trials |\n|---|---|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts)


def page(text: str, record: Mapping[str, float]) -> str:
    """The page with the table of this record."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table(record)}\n\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Measure, and write or compare."""
    record: dict[str, float] = {}
    for one in (one for simulations in GROUPS.values() for one in simulations):
        record[one.name] = round(share(one), 6)
        print(f"{one.name:34} {record[one.name]:.4f}", flush=True)
    if "--check" in sys.argv:
        written = json.loads(RECORD.read_text())
        changed = [name for name, value in record.items() if written.get(name) != value]
        print("Changed: " + ", ".join(changed) if changed else "As written.")
        return int(bool(changed))
    RECORD.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    PAGE.write_text(page(PAGE.read_text(), record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
