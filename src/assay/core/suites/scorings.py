"""What scores a task: which of its metrics speaks for it."""

from __future__ import annotations

from assay.core.suites.manifest.judges import main_judge_metric
from assay.core.suites.manifest.schema import Aggregation, Task
from assay.scoring.directions import LOWER_IS_BETTER
from assay.scoring.errors import UnsupportedFamilyError
from assay.scoring.scorers import scorer_for


def main_sample_metric(task: Task) -> str | None:
    """The same among the metrics that single samples have, which is what samples are compared by."""
    if task.judge is not None or task.python_grader is not None:
        return main_metric(task)
    try:
        known = scorer_for(task.type).metric_ids
    except UnsupportedFamilyError:
        return main_metric(task)
    stated = [metric.id for metric in task.metrics or () if metric.id in known]
    return stated[0] if stated else known[0]


def is_higher_better(task: Task | None, metric: str) -> bool:
    """Whether more of a metric is better: as the task states, else as the metric is known."""
    stated = [one.higher_is_better for one in (() if task is None else task.metrics or ()) if one.id == metric]
    return stated[0] if stated else metric not in LOWER_IS_BETTER


def main_metric(task: Task) -> str | None:
    """The first metric that the task states, else the first that its judge or scorer has; None when nobody can say."""
    stated = [metric.id for metric in task.metrics or () if metric.aggregation is Aggregation.MEAN]
    if stated:
        return stated[0]
    if task.judge is not None:
        return main_judge_metric(task.judge)
    if task.python_grader is not None:
        return task.python_grader.metric_id
    try:
        return scorer_for(task.type).metric_ids[0]
    except UnsupportedFamilyError:
        return None
