"""Which of several models to use, from the same cases run on each (O§3.7).

Recommending a model on a difference that may be chance costs its user quality. So a model is called better only when a
paired test says so, at a level that is divided by the number of models; and it may be recommended for being faster or
cheaper only when the interval of its quality lies above what may be lost: not being proven worse is not enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from assay.scoring.paired import PairedDifference, paired_difference
from assay.scoring.verdicts import Verdict, compare_paired

DEFAULT_MARGIN: Final = 0.05
_QUALITY_WEIGHT: Final = 3.0


class BacktestVerdict(StrEnum):
    """What to do."""

    SWITCH_RECOMMENDED = "switch_recommended"
    CONSIDER_TOP_PERFORMER = "consider_top_performer"
    CURRENT_IS_BEST = "current_is_best"


@dataclass(frozen=True, slots=True)
class Measured:
    """One case on one model."""

    score: float | None
    """0 to 1; None when it could not be graded."""
    answered: bool = True
    seconds: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ModelResult:
    """All cases on one model, in the same order for all models."""

    model: str
    cases: Sequence[Measured]

    @property
    def scored(self) -> int:
        """How many cases have a score."""
        return sum(case.score is not None for case in self.cases)

    @property
    def mean(self) -> float | None:
        """Mean score of the scored cases."""
        return _mean([case.score for case in self.cases])

    @property
    def success_rate(self) -> float:
        """Share of the cases that were answered; 0 when there are none."""
        return sum(case.answered for case in self.cases) / len(self.cases) if self.cases else 0.0

    @property
    def mean_seconds(self) -> float | None:
        """Mean time of an answer."""
        return _mean([case.seconds for case in self.cases])

    @property
    def mean_cost_usd(self) -> float | None:
        """Mean price of an answer; None unless it is known of all."""
        answered = [case for case in self.cases if case.answered]
        costs = [case.cost_usd for case in answered]
        return None if None in costs else _mean(costs)


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """A model against the baseline, on the cases that both have a value for."""

    quality: PairedDifference | None
    seconds: PairedDifference | None
    cost_usd: PairedDifference | None
    verdict: Verdict
    """Of the quality, at the divided level."""
    qualifies: bool
    """Whether its quality is surely within the margin."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a backtest comes to."""

    baseline: ModelResult
    candidates: Sequence[ModelResult]
    comparisons: Mapping[str, ModelComparison]
    verdict: BacktestVerdict
    summary: str
    top_performer: str | None = None
    fastest: str | None = None
    cheapest: str | None = None
    best_overall: str | None = None
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def recommended(self) -> str | None:
        """The model to use instead of the current one, if any."""
        return self.best_overall or self.top_performer

    @property
    def best_qualifying(self) -> ModelResult:
        """The result with the highest mean among the baseline and the models that qualify."""
        able = [one for one in self.candidates if self.comparisons[one.model].qualifies and one.mean is not None]
        return max([self.baseline, *able], key=lambda one: one.mean or 0.0)

    def why(self, model: str) -> str:
        """What is to be said of a model, in a few words."""
        return self.reasons.get(model, "the current model" if model == self.baseline.model else "")


def compare_models(
    baseline: ModelResult, candidates: Sequence[ModelResult], *, margin: float = DEFAULT_MARGIN, alpha: float = 0.05
) -> Backtest:
    """Compare models with the one in use.

    With few cases nothing qualifies, and the current model stays.

    Args:
        baseline: The current model, run anew on the same cases.
        candidates: The others.
        margin: How much of the score, as a fraction, may be lost for speed or price.
        alpha: The allowed probability of calling any model better that is not.

    Raises:
        ValueError: A candidate has another number of cases.
    """
    level = alpha / max(1, len(candidates))
    comparisons = {one.model: _compare(baseline, one, margin=margin, alpha=level) for one in candidates}
    able = [one for one in candidates if comparisons[one.model].qualifies]
    better = [one for one in able if comparisons[one.model].verdict is Verdict.BETTER]
    top = max(better, key=lambda one: one.mean or 0.0, default=None)
    faster = [one for one in able if _less(one.mean_seconds, baseline.mean_seconds)]
    cheaper = [one for one in able if _less(one.mean_cost_usd, baseline.mean_cost_usd)]
    gains = {one.model: _gain(baseline, one, comparisons[one.model]) for one in able}
    overall = max((one for one in able if gains[one.model] > 0), key=lambda one: gains[one.model], default=None)
    verdict = (
        BacktestVerdict.SWITCH_RECOMMENDED
        if overall is not None
        else BacktestVerdict.CONSIDER_TOP_PERFORMER
        if top is not None
        else BacktestVerdict.CURRENT_IS_BEST
    )
    return Backtest(
        baseline,
        candidates,
        comparisons,
        verdict,
        _summary(baseline, overall or top),
        None if top is None else top.model,
        min(faster, key=lambda one: one.mean_seconds or 0.0).model if faster else None,
        min(cheaper, key=lambda one: one.mean_cost_usd or 0.0).model if cheaper else None,
        None if overall is None else overall.model,
        {one.model: _reason(comparisons[one.model], one, margin) for one in candidates},
    )


def _compare(baseline: ModelResult, one: ModelResult, *, margin: float, alpha: float) -> ModelComparison:
    before, after = _pairs([case.score for case in baseline.cases], [case.score for case in one.cases])
    quality = paired_difference(before, after)
    comparison = compare_paired(before, after, alpha=alpha)
    # Equal scores on all cases have no spread to build an interval on; a handful of them proves nothing.
    low = comparison.interval.low if comparison.interval is not None else None
    same = quality is not None and quality.interval is None and quality.mean >= 0 and quality.n >= 1 / margin
    qualifies = one.success_rate > 0 and ((low is not None and low >= -margin) or same)
    return ModelComparison(
        quality,
        paired_difference(*_pairs([case.seconds for case in baseline.cases], [case.seconds for case in one.cases])),
        paired_difference(*_pairs([case.cost_usd for case in baseline.cases], [case.cost_usd for case in one.cases])),
        comparison.verdict,
        qualifies,
    )


def _gain(baseline: ModelResult, one: ModelResult, comparison: ModelComparison) -> float:
    """``3 × quality gain + latency gain + cost gain`` as shares of the baseline; what is unknown or unsure counts 0."""
    quality = comparison.quality
    gain = 0.0
    if quality is not None and baseline.mean and comparison.verdict is not Verdict.NOT_DECIDED:
        gain += _QUALITY_WEIGHT * quality.mean / baseline.mean
    for difference, before in (
        (comparison.seconds, baseline.mean_seconds),
        (comparison.cost_usd, baseline.mean_cost_usd),
    ):
        if difference is not None and before and _is_clear(difference):
            gain -= difference.mean / before
    return gain


def _is_clear(difference: PairedDifference) -> bool:
    interval = difference.interval
    return difference.n > 1 if interval is None else not interval.low <= 0 <= interval.high


def _reason(comparison: ModelComparison, one: ModelResult, margin: float) -> str:
    if one.success_rate == 0:
        return "answered nothing"
    if comparison.verdict is Verdict.BETTER:
        return "better than the current model"
    if comparison.verdict is Verdict.WORSE:
        return "worse than the current model" if not comparison.qualifies else "slightly worse, within the margin"
    if comparison.qualifies:
        return "as good as the current model, within the margin"
    return f"not sure to be within {100 * margin:g} points of the current model"


def _summary(baseline: ModelResult, chosen: ModelResult | None) -> str:
    if chosen is None:
        return f"Keep {baseline.model}: no other model is shown to be as good and better in quality, speed or price."
    parts: list[str] = []
    if chosen.mean is not None and baseline.mean is not None:
        parts.append(f"{100 * (chosen.mean - baseline.mean):+.1f} points")
    if chosen.mean_seconds is not None and baseline.mean_seconds:
        parts.append(f"{100 * (chosen.mean_seconds / baseline.mean_seconds - 1):+.0f} % latency")
    if chosen.mean_cost_usd is not None and baseline.mean_cost_usd:
        parts.append(f"{100 * (chosen.mean_cost_usd / baseline.mean_cost_usd - 1):+.0f} % cost")
    return f"Switch from {baseline.model} to {chosen.model}: {', '.join(parts)}."


def _pairs(before: Sequence[float | None], after: Sequence[float | None]) -> tuple[list[float], list[float]]:
    both = [(old, new) for old, new in zip(before, after, strict=True) if old is not None and new is not None]
    return [old for old, _ in both], [new for _, new in both]


def _less(value: float | None, other: float | None) -> bool:
    return value is not None and other is not None and value < other


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
