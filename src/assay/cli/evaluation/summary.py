"""A run's metrics as rows, and against thresholds.

Each task has one main metric: the first that its manifest declares, else the grader's, else the one usual for its type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from assay.cli.evaluation.client import Json
from assay.kit.errors import InvalidError
from assay.scoring.directions import LOWER_IS_BETTER

_USUAL_METRICS = {
    "classification": "accuracy",
    "multiple_choice": "accuracy",
    "qa": "exact_match",
    "numeric": "numeric_match",
    "summarization": "rougeL",
    "transcription": "corpus_wer",
}


_MAIN_METRICS_BY_KIND = {
    "sts": "cosine_spearman",
    "classification": "accuracy",
    "multilabel_classification": "lrap",
    "retrieval": "ndcg_at_10",
    "reranking": "map",
}


class ThresholdError(InvalidError):
    """A threshold that cannot be checked."""

    code = "invalid_threshold"


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the metric lies with the given confidence."""

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One model on one task, by its main metric."""

    task_id: str
    model: str
    metric: str | None
    """None when nothing was scored."""
    higher_is_better: bool
    value: float | None
    interval: Interval | None
    n: int
    """Samples that the value rests on."""
    unscored: int
    failed: int
    total: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least value that a metric must have, on every task and model that reports it."""

    metric: str
    minimum: float


def result_rows(run: Json, manifest: Json) -> list[ResultRow]:
    """One row for each task and model, in the manifest's and the run's order."""
    by_task = _by_task(run)
    tasks = [task for task in manifest["tasks"] if task["id"] in by_task]
    return [_row(task, model, by_task[task["id"]]["by_model"][model]) for task in tasks for model in run["models"]]


def _by_task(run: Json) -> dict[str, Json]:
    metrics = cast("Json | None", run["metrics"])
    return {} if metrics is None else metrics["by_task"]


def _row(task: Json, model: str, result: Json) -> ResultRow:
    declared = _declared(task)
    metric = _main_metric(task, declared, result["metrics"])
    interval: Json = result["intervals"].get(metric) or {}
    counts, tokens = result["counts"], result["tokens"]
    return ResultRow(
        task_id=task["id"],
        model=model,
        metric=metric,
        higher_is_better=declared.get(metric or "", {}).get("higher_is_better", metric not in LOWER_IS_BETTER),
        value=None if metric is None else result["metrics"][metric],
        interval=_interval(interval),
        n=interval.get("n", counts["scored"]),
        unscored=interval.get("unscored", 0),
        failed=counts["failed"],
        total=counts["total"],
        input_tokens=tokens["input"],
        output_tokens=tokens["output"],
        cost_usd=result.get("cost_usd"),
    )


def _declared(task: Json) -> dict[str, Json]:
    metrics = cast("list[Json]", task.get("metrics") or [])
    return {metric["id"]: metric for metric in metrics if metric.get("aggregation") != "none"}


def _main_metric(task: Json, declared: Mapping[str, Json], values: Mapping[str, Any]) -> str | None:
    grader = cast("Json", task.get("grader") or {})
    kind = cast("Json", task.get("embedding") or {}).get("kind", "")
    usual = _USUAL_METRICS.get(task["type"]) or _MAIN_METRICS_BY_KIND.get(kind)
    wanted = [*declared, grader.get("metric_id", "score"), usual, *sorted(values)]
    return next((metric for metric in wanted if metric in values), None)


def _interval(described: Json) -> Interval | None:
    if described.get("low") is None or described.get("high") is None:
        return None
    return Interval(described["low"], described["high"], described["level"], described["method"])


def parse_threshold(text: str) -> Threshold:
    """A threshold as written: ``accuracy=0.8``.

    Raises:
        ThresholdError: It is not of that form.
    """
    metric, sign, number = text.rpartition("=")
    try:
        minimum = float(number)
    except ValueError:
        minimum = float("nan")
    if not sign or not metric or minimum != minimum:
        raise ThresholdError(f"--fail-under {text!r}: write <metric>=<number>, such as accuracy=0.8.")
    return Threshold(metric, minimum)


def missed_thresholds(run: Json, thresholds: Sequence[Threshold]) -> list[str]:
    """A sentence for each threshold that is not met. A metric that has no value, or that nobody reports, meets none."""
    values = list(_all_values(run))
    missed: list[str] = []
    for threshold in thresholds:
        matching = [(task, model, value) for task, model, metric, value in values if metric == threshold.metric]
        if not matching:
            known = ", ".join(sorted({metric for _, _, metric, _ in values}))
            missed.append(f"--fail-under: no task reports {threshold.metric!r}; there are {known or 'none'}")
        for task, model, value in matching:
            if value is None or value < threshold.minimum:
                shown = "has no value" if value is None else f"is {value:.4g}"
                missed.append(f"{task}: {threshold.metric} of {model} {shown}, under {threshold.minimum:g}")
    return missed


def _all_values(run: Json) -> Iterator[tuple[str, str, str, float | None]]:
    """Task, model, metric and value of everything that was measured."""
    for task_id, task in _by_task(run).items():
        for model, result in cast("dict[str, Json]", task["by_model"]).items():
            for metric, value in cast("dict[str, float | None]", result["metrics"]).items():
                yield task_id, model, metric, value
