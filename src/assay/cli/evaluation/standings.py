"""Who leads a run's tasks, and whether the lead is real.

The two best models of a task answered the same items, so the server compares them pair by pair, as
``docs/statistics.md`` says, by the metric that single samples have. Whether two intervals overlap says little about
that: they may, and the difference still be certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from assay.cli.evaluation.client import ApiClient, Json
from assay.cli.evaluation.summary import ResultRow
from assay.kit.errors import InvalidError


@dataclass(frozen=True, slots=True)
class Standing:
    """The two best models of a task."""

    task_id: str
    metric: str
    """By which they are ordered."""
    leader: str
    runner_up: str
    verdict: str | None
    """``better``, ``worse``, ``not_decided`` or ``level``; None where the two cannot be compared item by item."""
    compared_by: str | None
    """The metric of single samples that the verdict is about; ``exact_match`` is what accuracy is the mean of."""
    difference: float | None
    """Mean of leader minus runner-up over the items that both have a score for."""
    low: float | None
    high: float | None
    p: float | None
    more_items: int | None
    """About how many more it takes to decide, if that can be told."""
    sentence: str


async def find_standings(client: ApiClient, run_id: str, rows: Sequence[ResultRow]) -> list[Standing]:
    """For each task with two scored models or more: who leads, and what the paired comparison says of it."""
    return [await _stand(client, run_id, first, second) for first, second in leading_pairs(rows)]


def leading_pairs(rows: Sequence[ResultRow]) -> list[tuple[ResultRow, ResultRow]]:
    """The best and the second best row of each task, of equal ones the earlier."""
    tasks = dict.fromkeys(row.task_id for row in rows)
    groups = ([row for row in rows if row.task_id == task and row.value is not None] for task in tasks)
    return [_best_two(group) for group in groups if len(group) > 1]


def _best_two(rows: Iterable[ResultRow]) -> tuple[ResultRow, ResultRow]:
    first, second = sorted(rows, key=_goodness, reverse=True)[:2]
    return first, second


def _goodness(row: ResultRow) -> float:
    value = row.value or 0.0
    return value if row.higher_is_better else -value


async def _stand(client: ApiClient, run_id: str, first: ResultRow, second: ResultRow) -> Standing:
    if first.value == second.value:
        return describe(first, second, None, level=True)
    query = {
        "model": first.model,
        "baseline_model": second.model,
        "task_id": first.task_id,
        "common_only": "true",
    }
    try:
        [task] = (await client.compare_runs(run_id, query))["tasks"]
    except InvalidError:
        # Some tasks, such as retrieval, are scored as a whole, so there are no values to pair.
        return describe(first, second, None)
    return describe(first, second, cast("Json", task))


def describe(first: ResultRow, second: ResultRow, task: Json | None, *, level: bool = False) -> Standing:
    """A standing, in numbers and as a sentence.

    Args:
        first: The leader.
        second: The runner-up.
        task: What the server found, with the leader as the candidate; None if it cannot compare them.
        level: Whether both have the same value.
    """
    found: dict[str, Any] = task or {}
    verdict = "level" if level else found.get("verdict")
    return Standing(
        task_id=first.task_id,
        metric=first.metric or "",
        leader=first.model,
        runner_up=second.model,
        verdict=verdict,
        compared_by=found.get("metric"),
        difference=found.get("difference"),
        low=found.get("low"),
        high=found.get("high"),
        p=found.get("p"),
        more_items=found.get("more_items"),
        sentence=f"{first.task_id}: {_sentence(first, second, verdict, found)}",
    )


def _sentence(first: ResultRow, second: ResultRow, verdict: str | None, found: Json) -> str:
    values = f"{first.metric} {first.value:.3f} to {second.value:.3f}"
    ahead = f"{first.model} is ahead of {second.model} ({values})"
    evidence = _evidence(first.metric, found)
    match verdict:
        case "level":
            return f"{first.model} and {second.model} are level ({values})."
        case "better":
            return f"{first.model} is better than {second.model} ({values}; {evidence})."
        case "worse":
            return f"{ahead}, but worse on the rows that both have ({evidence})."
        case None:
            return f"{ahead}. This metric has no value for each item, so whether that is chance is not told."
        case _:
            missing = found.get("more_items")
            need = "" if missing is None else f"; about {missing:,} more rows would tell"
            return f"{ahead}: not decided ({evidence}){need}."


def _evidence(metric: str | None, found: Json) -> str:
    p, compared_by = found.get("p"), found.get("metric", metric)
    if p is None:
        return "no pairs"
    said = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    by = "" if compared_by == metric else f"{compared_by} "
    if found.get("low") is None:
        return f"{by}{said}, {found['n']:,} pairs"
    return f"{by}by {found['low']:+.3f} to {found['high']:+.3f}, {said}, {found['n']:,} pairs"
