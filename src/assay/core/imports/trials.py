"""Trials before they are stored: checked together, timed, and measured where nobody did."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from assay.core.imports.errors import ImportInputError
from assay.core.imports.types import MAX_SAMPLE_INDEX, Trial
from assay.core.runs.types import SampleStatus
from assay.gateway.tokens import count_tokens

AGENT_PHASE = "agent_execution"
MAX_METRIC_LENGTH = 128
LARGEST_COUNT = 2**31 - 1
_STATUSES = frozenset({SampleStatus.COMPLETED, SampleStatus.FAILED})


def check_trials(trials: Sequence[Trial], task_ids: Collection[str]) -> None:
    """Refuse trials that no run of these tasks can hold.

    Raises:
        ImportInputError: Naming the first faulty trial.
    """
    places: dict[tuple[str, int], int] = {}
    for number, trial in enumerate(trials):
        _check_trial(trial, task_ids, path=f"trials[{number}]")
        first = places.setdefault((trial.task_id, trial.sample_index), number)
        if first != number:
            raise ImportInputError(
                f"`trials[{number}]` has the task and index of trials[{first}]; give each its own `sample_index`.",
                param=f"trials[{number}].sample_index",
            )


def _check_trial(trial: Trial, task_ids: Collection[str], *, path: str) -> None:
    if trial.task_id not in task_ids:
        raise ImportInputError(
            f"`{path}.task_id`: this suite version has no task {trial.task_id[:80]!r}.", param=f"{path}.task_id"
        )
    if trial.status not in _STATUSES:
        raise ImportInputError(f"`{path}.status` must be completed or failed.", param=f"{path}.status")
    if not 0 <= trial.sample_index <= MAX_SAMPLE_INDEX:
        raise ImportInputError(f"`{path}.sample_index` must be 0 to {MAX_SAMPLE_INDEX}.", param=f"{path}.sample_index")
    for metric, value in trial.scores.items():
        if not 1 <= len(metric) <= MAX_METRIC_LENGTH or not math.isfinite(value):
            raise ImportInputError(
                f"`{path}.scores`: names have 1 to {MAX_METRIC_LENGTH} characters, values are finite numbers.",
                param=f"{path}.scores",
            )


async def work_out(trials: Sequence[Trial]) -> list[tuple[Trial, Mapping[str, Any]]]:
    """Each trial with its token counts and the length of its agent's phase, as columns.

    Text whose tokens nobody counted is counted here, by one ruler for all models (M§2.10).
    """
    return await asyncio.to_thread(lambda: [(trial, _columns(trial)) for trial in trials])


def _columns(trial: Trial) -> dict[str, Any]:
    reported = {
        "input_tokens": trial.input_tokens,
        "output_tokens": trial.output_tokens,
        "cached_tokens": trial.cached_tokens,
        "reasoning_tokens": trial.reasoning_tokens,
    }
    estimated = bool(trial.output_text) and all(count is None for count in reported.values())
    if estimated:
        reported["input_tokens"] = count_tokens(trial.prompt)
        reported["output_tokens"] = count_tokens(trial.output_text or "")
    seconds = phase_seconds(trial.phase_timings, AGENT_PHASE)
    return {**reported, "tokens_estimated": estimated, "agent_seconds": seconds}


def phase_seconds(timings: Mapping[str, Any] | None, phase: str) -> float | None:
    """Wall seconds of a phase; None when it is not timed in a way that can be read."""
    found: object = None if timings is None else timings.get(phase)
    if not isinstance(found, dict):
        return None
    times = cast("dict[str, object]", found)
    started, finished = _moment(times.get("started_at")), _moment(times.get("finished_at"))
    if started is None or finished is None or (started.tzinfo is None) != (finished.tzinfo is None):
        return None
    seconds = (finished - started).total_seconds()
    return seconds if seconds >= 0 else None


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
