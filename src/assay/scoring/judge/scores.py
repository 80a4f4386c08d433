"""Judgements as numbers.

| question | metrics |
|---|---|
| boolean | 1 for pass, 0 for fail |
| number | the number |
| categories with scores | the mean of the scores of those chosen |
| categories without | ``<metric>.<key>``: 1 for each that was chosen, 0 for the others |
| checklist | the met share of the weights of applicable items, 0 if a gate is not met; ``<metric>.<item>``: 1 or 0 |
| pair | 1 if the candidate is better, ½ for a tie, 0 if the baseline is |

What is not applicable has no number, and enters no mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from statistics import fmean

from assay.scoring.judge.judgements import ItemOutcome, Judgement, Preference
from assay.scoring.judge.questions import (
    BooleanScale,
    CategoricalScale,
    Checklist,
    NumericScale,
    Pairwise,
    Question,
    Rubric,
)

_PREFERENCE_SCORES = {Preference.CANDIDATE: 1.0, Preference.TIE: 0.5, Preference.BASELINE: 0.0}


def metric_ids(question: Question, metric_id: str) -> tuple[str, ...]:
    """Every metric that a judgement of the question may have, the main one first."""
    match question:
        case Checklist():
            return (metric_id, *(f"{metric_id}.{item.id}" for item in question.items))
        case Rubric(scale=CategoricalScale() as scale) if not scale.scored:
            return tuple(f"{metric_id}.{option.key}" for option in scale.options)
        case _:
            return (metric_id,)


def scores_of(question: Question, judgement: Judgement, metric_id: str) -> dict[str, float]:
    """The numbers of a judgement; none when it is not applicable.

    Args:
        question: What was asked.
        judgement: An answer to it.
        metric_id: Name of the main metric, and prefix of the others.
    """
    if not judgement.applicable:
        return {}
    match question:
        case Checklist():
            return _checklist_scores(question, judgement.items or {}, metric_id)
        case Pairwise():
            preference = judgement.preference
            return {} if preference is None else {metric_id: _PREFERENCE_SCORES[preference]}
        case Rubric():
            return _rubric_scores(question, judgement, metric_id)


def _rubric_scores(rubric: Rubric, judgement: Judgement, metric_id: str) -> dict[str, float]:
    match rubric.scale:
        case BooleanScale():
            return {metric_id: float(bool(judgement.passed))}
        case NumericScale():
            return {} if judgement.score is None else {metric_id: judgement.score}
        case CategoricalScale() as scale:
            chosen = judgement.categories or ()
            if not scale.scored:
                return {f"{metric_id}.{option.key}": float(option.key in chosen) for option in scale.options}
            return {metric_id: fmean(option.score or 0.0 for option in scale.options if option.key in chosen)}


def _checklist_scores(checklist: Checklist, outcomes: Mapping[str, ItemOutcome], metric_id: str) -> dict[str, float]:
    applicable = [item for item in checklist.items if outcomes[item.id] is not ItemOutcome.NOT_APPLICABLE]
    met = [item for item in applicable if outcomes[item.id] is ItemOutcome.MET]
    scores = {f"{metric_id}.{item.id}": float(item in met) for item in applicable}
    weights = fsum(item.weight for item in applicable)
    if any(item.gate and item not in met for item in applicable):
        return {metric_id: 0.0, **scores}
    # Without any weight left, nothing that counts applies.
    return {metric_id: fsum(item.weight for item in met) / weights, **scores} if weights else scores
