"""What labels say about a judge: a calibration's report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from assay.core.calibration.types import Gold, JudgedValues, LabelsBySubject
from assay.scoring.agreement import MeasurementLevel, PassConfusion, cohen_kappa, krippendorff_alpha, pass_confusion
from assay.scoring.correction import CorrectedRate
from assay.scoring.statistics import Interval, wilson_interval


def gold_of(labels: LabelsBySubject, threshold: float) -> Gold:
    """What more than half of the people who labelled a subject say; a tie is no answer."""
    passes = {subject: sum(value >= threshold for value in values) for subject, values in labels.items()}
    return {
        subject: 2 * count > len(labels[subject])
        for subject, count in passes.items()
        if 2 * count != len(labels[subject])
    }


def confusion_of(judged: JudgedValues, gold: Gold, threshold: float) -> PassConfusion:
    """The judge against the people, over the subjects that both looked at."""
    both = [subject for subject in judged if subject in gold]
    return pass_confusion([judged[subject] >= threshold for subject in both], [gold[subject] for subject in both])


def report_of(judged: JudgedValues, labels: LabelsBySubject, threshold: float) -> dict[str, Any]:
    """All that is known of the judge, JSON-ready; null where there is too little data."""
    gold = gold_of(labels, threshold)
    both = [subject for subject in judged if subject in gold]
    confusion = confusion_of(judged, gold, threshold)
    kappa = cohen_kappa([judged[subject] >= threshold for subject in both], [gold[subject] for subject in both])
    return {
        "confusion": asdict(confusion),
        "accuracy": _share(confusion.true_pass + confusion.true_fail, confusion.n),
        "sensitivity": _share(confusion.true_pass, confusion.passes),
        "specificity": _share(confusion.true_fail, confusion.fails),
        "cohen_kappa": None
        if kappa is None
        else {"value": kappa.kappa, "observed": kappa.observed, "expected": kappa.expected, **_bounds(kappa.interval)},
        "krippendorff_alpha": _alphas(judged, labels, threshold),
        "split": sum(subject in judged and subject not in gold for subject in labels),
    }


def _alphas(judged: JudgedValues, labels: LabelsBySubject, threshold: float) -> dict[str, float | None]:
    """Of people and judge together, and of people alone; on pass and fail, and on the numbers themselves."""
    people = [labels[subject] for subject in judged if subject in labels]
    everyone = [[*labels[subject], value] for subject, value in judged.items() if subject in labels]
    return {
        "judge_and_people": krippendorff_alpha([[value >= threshold for value in unit] for unit in everyone]),
        "people": krippendorff_alpha([[value >= threshold for value in unit] for unit in people]),
        "judge_and_people_interval": krippendorff_alpha(everyone, measurement=MeasurementLevel.INTERVAL),
    }


def _share(count: int, n: int) -> dict[str, Any]:
    return {"value": count / n if n else None, "n": n, **_bounds(wilson_interval(count, n))}


def _bounds(interval: Interval | None) -> Mapping[str, float | None]:
    return {"low": None if interval is None else interval.low, "high": None if interval is None else interval.high}


def describe_rate(rate: CorrectedRate | None) -> dict[str, Any] | None:
    """A corrected rate, JSON-ready."""
    if rate is None:
        return None
    return {"value": rate.rate, "n": rate.n, "labelled": rate.labelled, **_bounds(rate.interval)}
