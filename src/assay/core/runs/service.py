"""What a user can do with runs.

Everything here only writes rows; the durable engine is told through the outbox, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.metadata import check_metadata
from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.core.runs import repository
from assay.core.runs.agentmodels import check_agents, is_agent
from assay.core.runs.errors import RunInputError, RunNotFoundError, RunStateError
from assay.core.runs.models import RunRow
from assay.core.runs.repository import OverviewCounts
from assay.core.runs.roles import role_of
from assay.core.runs.transitions import announce
from assay.core.runs.types import (
    MAX_BUDGET_USD,
    MAX_CONCURRENCY,
    MAX_REPEATS,
    UNSETTLED,
    Run,
    RunConfig,
    RunFilter,
    RunOverview,
    RunStatus,
    Sample,
    SampleFilter,
    TokenCounts,
    TrialCounts,
)
from assay.core.suites.manifest import parse_manifest, refuse_unsupported
from assay.core.suites.manifest.schema import Task, TaskType
from assay.core.suites.service import get_suite_version
from assay.core.suites.sharing import organizations_of
from assay.core.suites.types import SuiteVersion
from assay.db.paging import Page, UnknownCursorError
from assay.gateway.catalog import AUTO, Catalog
from assay.gateway.generation import resolve_generation
from assay.gateway.types import ModelRole
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

EVAL_RUN_WORKFLOW = "eval_run"
MAX_MODELS = 20
SILENCE = timedelta(minutes=1)
"""How long nothing may be written of a live run before its start is repeated."""


def workflow_id(run_id: UUID, execution: int) -> str:
    """The durable engine's name for one execution of a run; a rerun is a new execution."""
    return f"{EVAL_RUN_WORKFLOW}/{run_id}/{execution}"


async def create_run(
    session: AsyncSession,
    principal: Principal,
    *,
    catalog: Catalog,
    suite_id: UUID,
    config: RunConfig,
    suite_version: int | None = None,
    metadata: Mapping[str, str] | None = None,
    webhook_endpoint_id: UUID | None = None,
) -> Run:
    """Queue a run of a suite's version (the active one unless given).

    Raises:
        SuiteNotFoundError, SuiteVersionNotFoundError: Not visible to the caller.
        UnsupportedManifestError: The suite was imported and cannot be run here.
        RunInputError: A field of the request is out of bounds, or a task does not exist.
        UnknownModelError: A model is not in the catalog, or ``auto`` has no default for its role.
        MetadataError: The metadata is out of bounds.
    """
    version = await get_suite_version(session, principal, suite_id=suite_id, version=suite_version)
    task_order = check_run_config(config, version)
    await check_agents(session, principal, config.models)
    await _check_models(catalog, config, version)
    now = utc_now()
    row = RunRow(
        id=new_id(),
        **owner_columns(principal),
        suite_id=suite_id,
        suite_version_id=version.id,
        suite_version=version.version,
        status=RunStatus.QUEUED.value,
        execution=1,
        task_order=[task for task in task_order if config.task_ids is None or task in config.task_ids],
        models=list(config.models),
        task_ids=None if config.task_ids is None else list(config.task_ids),
        judge_model=config.judge_model,
        embedding_model=config.embedding_model,
        generation=dict(config.generation),
        generation_concurrency=config.generation_concurrency,
        concurrency=config.concurrency,
        grader_concurrency=config.grader_concurrency,
        max_samples_per_task=config.max_samples_per_task,
        max_workflow_sample_activities=config.max_workflow_sample_activities,
        repeats=config.effective_repeats,
        budget_usd=config.budget_usd,
        labels=check_metadata(metadata),
        webhook_endpoint_id=webhook_endpoint_id,
        total=0,
        completed=0,
        failed=0,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await _start(session, row)
    return repository.to_run(row, principal.organization_id)


async def get_run(session: AsyncSession, principal: Principal, *, run_id: UUID) -> Run:
    """One run.

    Raises:
        RunNotFoundError: Not visible to the caller.
    """
    (run,) = await show_runs(session, principal, [await get_run_row(session, principal, run_id)])
    return run


async def list_runs(
    session: AsyncSession,
    principal: Principal,
    *,
    run_filter: RunFilter,
    after: UUID | None = None,
    limit: int = 20,
) -> Page[Run]:
    """Visible runs, newest first.

    Raises:
        RunInputError: A suite version without its suite.
    """
    if run_filter.suite_version is not None and run_filter.suite_id is None:
        raise RunInputError("`suite_version` needs `suite_id`: version numbers count per suite.", param="suite_version")
    page = await repository.list_runs(session, principal, run_filter, after=after, limit=limit)
    return Page(items=await show_runs(session, principal, page.items), has_more=page.has_more)


async def show_runs(session: AsyncSession, principal: Principal, rows: Sequence[RunRow]) -> tuple[Run, ...]:
    """Runs as the caller sees them: of their true owners, whose files are nobody else's to download."""
    organizations = await organizations_of(session, principal, [row.project_id for row in rows])
    runs = (repository.to_run(row, organizations[row.project_id]) for row in rows)
    return tuple(
        run if run.project_id == principal.project_id else replace(run, result_file_id=None, samples_file_id=None)
        for run in runs
    )


async def delete_run(session: AsyncSession, principal: Principal, *, run_id: UUID) -> None:
    """Hide a run, and stop it if it is still going.

    Raises:
        RunNotFoundError: Not visible to the caller.
    """
    row = await get_run_row(session, principal, run_id, lock=True)
    await stop_row(session, row)
    row.deleted_at = utc_now()
    await session.flush()


async def cancel_run(session: AsyncSession, principal: Principal, *, run_id: UUID) -> Run:
    """Ask a run to stop. Calling again while it stops, or after, changes nothing.

    Raises:
        RunNotFoundError: Not visible to the caller.
        RunStateError: It has completed or failed.
    """
    row = await get_run_row(session, principal, run_id, lock=True)
    status = RunStatus(row.status)
    if status in {RunStatus.COMPLETED, RunStatus.FAILED}:
        raise RunStateError(f"A {status.value} run cannot be cancelled.", status)
    await stop_row(session, row)
    return repository.to_run(row, principal.organization_id)


async def stop_row(session: AsyncSession, row: RunRow) -> None:
    """Turn a live run to ``cancelling`` and tell the durable engine; leave others alone."""
    status = RunStatus(row.status)
    if status.is_terminal or status is RunStatus.CANCELLING:
        return
    row.updated_at = utc_now()
    if row.imported:
        row.status, row.cancelled_at = RunStatus.CANCELLED.value, row.updated_at
        await announce(session, row)
        return
    row.status = RunStatus.CANCELLING.value
    await enqueue(session, _command(row, Action.CANCEL))
    await announce(session, row)


async def rerun_failed_samples(session: AsyncSession, principal: Principal, *, run_id: UUID) -> Run:
    """Queue the failed samples of a completed run again, in place.

    Raises:
        RunNotFoundError: Not visible to the caller.
        RunStateError: It has not completed, has no failed sample (R4), or was imported.
    """
    row = await get_run_row(session, principal, run_id, lock=True)
    status = RunStatus(row.status)
    _refuse_imported(row)
    if status is not RunStatus.COMPLETED:
        raise RunStateError(f"Only a completed run can rerun its failed samples; this one is {status.value}.", status)
    if row.failed == 0:
        raise RunStateError("The run has no failed samples.", status)
    row.failed -= await repository.requeue_failed_samples(session, row)
    await _requeue(session, row)
    return repository.to_run(row, principal.organization_id)


async def retry_run(
    session: AsyncSession, principal: Principal, *, run_id: UUID, budget_usd: Decimal | None = None
) -> Run:
    """Continue a failed or cancelled run where it stopped.

    Args:
        session: A session inside a transaction.
        principal: The caller.
        run_id: Which run.
        budget_usd: What it may cost from now on, what it has cost included; None leaves its ceiling.

    Raises:
        RunInputError: The ceiling is none.
        RunNotFoundError: Not visible to the caller.
        RunStateError: It has neither failed nor been cancelled, or was imported.
    """
    row = await get_run_row(session, principal, run_id, lock=True)
    status = RunStatus(row.status)
    _refuse_imported(row)
    if status not in {RunStatus.FAILED, RunStatus.CANCELLED}:
        raise RunStateError(f"Only a failed or cancelled run can be retried; this one is {status.value}.", status)
    check_budget(budget_usd)
    if budget_usd is not None:
        row.budget_usd = budget_usd
    await _requeue(session, row)
    return repository.to_run(row, principal.organization_id)


async def revive_silent_runs(session: AsyncSession, *, limit: int = 500) -> int:
    """Start again whatever should be going on and may not be: its start, or the durable engine's state, was lost.

    For a background task. An execution that is going on keeps its workflow id, so starting it again does nothing.

    Returns:
        How many runs were looked after.
    """
    silent = await repository.list_silent_runs(session, since=utc_now() - SILENCE, limit=limit)
    for row in silent:
        await enqueue(session, _command(row, Action.START))
    return len(silent)


async def list_samples(
    session: AsyncSession,
    principal: Principal,
    *,
    run_id: UUID,
    sample_filter: SampleFilter,
    after: UUID | None = None,
    limit: int = 100,
) -> Page[Sample]:
    """Samples by task, model and index.

    Raises:
        RunNotFoundError: Not visible to the caller.
        RunInputError: Score bounds without the metric they bound (R28).
        UnknownCursorError: ``after`` is no sample of this run.
    """
    if sample_filter.score_metric is None and (sample_filter.score_min, sample_filter.score_max) != (None, None):
        raise RunInputError("`score_min` and `score_max` need `score_metric`.", param="score_metric")
    row = await get_run_row(session, principal, run_id)
    (run,) = await show_runs(session, principal, [row])
    position = None
    if after is not None:
        position = await repository.find_sample_key(session, run_id=run_id, sample_id=after)
        if position is None:
            raise UnknownCursorError
    if sample_filter.status in UNSETTLED and row.total == row.completed + row.failed:
        # Known without looking at each of them.
        return Page(items=(), has_more=False)
    return await repository.list_samples(
        session,
        run,
        row.task_order,
        sample_filter=sample_filter,
        after=position,
        limit=limit,
    )


async def get_run_overview(session: AsyncSession, principal: Principal, *, run_id: UUID, metric: str) -> RunOverview:
    """A run at a glance: the mean of one metric, and samples by outcome.

    Raises:
        RunNotFoundError: Not visible to the caller.
    """
    row = await get_run_row(session, principal, run_id)
    (run,) = await show_runs(session, principal, [row])
    # A trial that was carried out elsewhere may have an error and a score.
    if run.status is RunStatus.COMPLETED and not row.imported:
        counts = _counts_at_end(run, metric)
    else:
        counts = await repository.overview_counts(session, run_id, metric)
    retried = await repository.count_retried(session, run_id)
    return RunOverview(
        run=run,
        metric=metric,
        average=counts.average,
        trials=TrialCounts(
            total=max(counts.total, run.total),
            completed=counts.completed,
            failed=counts.failed,
            errored=counts.errored,
            retried=retried,
        ),
        cost_usd=counts.cost_usd,
        tokens=TokenCounts(counts.input, counts.output, counts.cached, counts.reasoning),
    )


def _counts_at_end(run: Run, metric: str) -> OverviewCounts:
    """What the samples of a completed run add up to, which was summed when it ended."""
    means: Mapping[str, float | None] = (run.metrics or {}).get("overall", {})
    return OverviewCounts(
        total=run.total,
        completed=run.completed,
        failed=run.failed,
        errored=run.failed,
        average=means.get(metric),
        cost_usd=run.cost_usd,
        input=run.tokens.input,
        output=run.tokens.output,
        cached=run.tokens.cached,
        reasoning=run.tokens.reasoning,
    )


async def get_run_row(session: AsyncSession, principal: Principal, run_id: UUID, *, lock: bool = False) -> RunRow:
    """The row of a run; locked, which is for changing it, only if it is the caller's own.

    Raises:
        RunNotFoundError: Not visible to the caller.
    """
    row = await repository.find_run(session, principal, run_id=run_id, lock=lock)
    if row is None:
        raise RunNotFoundError("No such run.", param="run_id")
    return row


def _refuse_imported(row: RunRow) -> None:
    if row.imported:
        raise RunStateError(
            "The run was imported: its samples were carried out elsewhere, so nothing can be run again here.",
            RunStatus(row.status),
        )


async def _requeue(session: AsyncSession, row: RunRow) -> None:
    """Queue the same run again: what ended it is cleared, when it was made and first started is kept (R30)."""
    row.status = RunStatus.QUEUED.value
    row.execution += 1
    row.error = None
    row.completed_at = row.failed_at = row.cancelled_at = None
    row.updated_at = utc_now()
    await _start(session, row)


async def _start(session: AsyncSession, row: RunRow) -> None:
    await session.flush()
    await enqueue(session, _command(row, Action.START))
    await announce(session, row)


def _command(row: RunRow, action: Action) -> WorkflowCommand:
    return WorkflowCommand(
        action=action,
        workflow=EVAL_RUN_WORKFLOW,
        workflow_id=workflow_id(row.id, row.execution),
        arguments={
            "run_id": str(row.id),
            "execution": row.execution,
            "max_sample_activities": row.max_workflow_sample_activities,
        },
    )


def check_run_config(config: RunConfig, version: SuiteVersion) -> list[str]:
    """Check all of a configuration but its models, which may be configured later.

    Returns:
        The version's task ids, in the manifest's order.

    Raises:
        UnsupportedManifestError: The suite was imported and cannot be run here.
        RunInputError: A field is out of bounds, or a task does not exist.
    """
    manifest = parse_manifest(version.manifest)
    # Suites that were imported name datasets that are not here.
    refuse_unsupported(manifest)
    task_order = [task.id for task in manifest.tasks]
    if not 1 <= len(config.models) <= MAX_MODELS:
        raise RunInputError(f"`models` must name 1 to {MAX_MODELS} models.", param="models")
    if len(set(config.models)) != len(config.models):
        raise RunInputError("`models` names a model twice.", param="models")
    _check_task_ids(config, task_order)
    for name in ("generation_concurrency", "concurrency", "grader_concurrency"):
        value: int | None = getattr(config, name)
        if value is not None and not 1 <= value <= MAX_CONCURRENCY:
            raise RunInputError(f"`{name}` must be 1 to {MAX_CONCURRENCY}.", param=name)
    for name in ("max_samples_per_task", "max_workflow_sample_activities"):
        value = getattr(config, name)
        if value is not None and not 1 <= value <= 2**31 - 1:
            raise RunInputError(f"`{name}` must be at least 1.", param=name)
    if config.repeats is not None and not 1 <= config.repeats <= MAX_REPEATS:
        raise RunInputError(f"`repeats` must be 1 to {MAX_REPEATS}.", param="repeats")
    check_budget(config.budget_usd)
    resolve_generation(config.generation)
    return task_order


def check_budget(budget_usd: Decimal | None) -> None:
    """Refuse a ceiling that is none.

    Raises:
        RunInputError: It is not above 0, or has no end.
    """
    if budget_usd is not None and not (budget_usd.is_finite() and 0 < budget_usd < MAX_BUDGET_USD):
        raise RunInputError(f"`budget_usd` must be above 0 and below {MAX_BUDGET_USD:,}.", param="budget_usd")


def _check_task_ids(config: RunConfig, task_order: Sequence[str]) -> None:
    if config.task_ids is None:
        return
    if not config.task_ids:
        raise RunInputError("`task_ids` is empty: leave it out to run every task.", param="task_ids")
    unknown = [task for task in config.task_ids if task not in task_order]
    if unknown:
        raise RunInputError(
            f"`task_ids` names {unknown[0]!r}, which this suite version does not have; it has {', '.join(task_order)}.",
            param="task_ids",
        )


def _judges_of(config: RunConfig, tasks: Sequence[Task]) -> set[str]:
    """Models that judge the tasks, but for ``auto`` where the run names its judge."""
    models = {model for task in tasks if task.judge is not None for model in task.judge.models}
    return models if config.judge_model is None else models - {AUTO}


async def _check_models(catalog: Catalog, config: RunConfig, version: SuiteVersion) -> None:
    await catalog.refresh()
    tasks = [task for task in parse_manifest(version.manifest).tasks if task.id in (config.task_ids or (task.id,))]
    for task in tasks:
        role = role_of(task.type)
        for model in config.models:
            if not is_agent(model):
                catalog.resolve(model, role)
            elif role is not ModelRole.CANDIDATE:
                raise RunInputError(
                    f"`models`: an agent cannot carry out the {task.type.value} task {task.id!r}. Leave the agent "
                    "or the task out.",
                    param="models",
                )
    for model in _judges_of(config, tasks):
        catalog.resolve(model, ModelRole.JUDGE)
    if config.judge_model is not None:
        catalog.resolve(config.judge_model, ModelRole.JUDGE)
    if config.embedding_model is not None:
        catalog.resolve(config.embedding_model, ModelRole.EMBEDDING)
    elif any(task.type is TaskType.SEMANTIC_SIMILARITY and task.grader is None for task in tasks):
        catalog.resolve(AUTO, ModelRole.EMBEDDING)
