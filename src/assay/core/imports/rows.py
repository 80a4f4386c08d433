"""The rows of imported runs: how they begin, what their samples make of them, and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.imports import repository
from assay.core.metadata import check_metadata
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.core.runs.metrics import MeasuredRun, MeasuredTask, compute_metrics
from assay.core.runs.models import RunRow
from assay.core.runs.types import RunStatus
from assay.core.suites.manifest import Manifest, parse_manifest
from assay.core.suites.types import SuiteVersion
from assay.kit.clock import utc_now
from assay.kit.ids import id_at


def new_imported_run(
    principal: Principal,
    version: SuiteVersion,
    *,
    model: str,
    created_at: datetime,
    metadata: Mapping[str, str] | None,
) -> RunRow:
    """An open run of one model over tasks of a version.

    Raises:
        MetadataError: The metadata is out of bounds.
    """
    return RunRow(
        # Lists go by id, so that a run from the past takes its place among the others.
        id=id_at(created_at),
        **owner_columns(principal),
        suite_id=version.suite_id,
        suite_version_id=version.id,
        suite_version=version.version,
        status=RunStatus.IN_PROGRESS.value,
        imported=True,
        execution=1,
        prepared=True,
        task_order=[task.id for task in parse_manifest(version.manifest).tasks],
        models=[model],
        generation={},
        labels=check_metadata(metadata),
        created_at=created_at,
        started_at=created_at,
        updated_at=utc_now(),
    )


def complete(row: RunRow, now: datetime) -> None:
    """No more samples will come."""
    row.status = RunStatus.COMPLETED.value
    row.completed_at = max(now, row.created_at)


async def sum_up(session: AsyncSession, row: RunRow, manifest: Manifest) -> None:
    """Take an imported run's counts, cost, tokens, tasks and metrics from its samples anew."""
    sums = await repository.sum_samples(session, row.id)
    row.total = max(sums.total, row.expected_samples or 0)
    row.completed, row.failed = sums.completed, sums.failed
    row.cost_usd = row.cost_usd if sums.cost_usd is None else sums.cost_usd
    row.input_tokens, row.output_tokens = sums.input, sums.output
    row.cached_tokens, row.reasoning_tokens = sums.cached, sums.reasoning
    covered = [row.task_order[number] for number in sums.task_nos]
    row.task_ids = None if covered == row.task_order else covered
    tasks = [MeasuredTask(task.id, task.metrics or ()) for task in manifest.tasks]
    metrics = await compute_metrics(session, MeasuredRun(row.id, row.models, tasks), group_metrics={})
    # Tasks that nothing was sent for are no tasks of this run.
    metrics["by_task"] = {task_id: metrics["by_task"][task_id] for task_id in covered}
    row.metrics = metrics
