"""How a run ends: completed with its metrics and artifacts, failed with a reason, or cancelled where it stood."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files.service import upload_file
from assay.core.files.store import FileStore
from assay.core.files.types import FilePurpose
from assay.core.runs import repository
from assay.core.runs.artifacts import stream_samples
from assay.core.runs.errors import RunIncompleteError, RunNotFoundError, RunStoppedError
from assay.core.runs.ledger import Execution, allow_long_statements
from assay.core.runs.metrics import compute_metrics, measured
from assay.core.runs.models import RunRow
from assay.core.runs.plan import RunPlan, load_plan
from assay.core.runs.transitions import announce
from assay.core.runs.types import RunStatus
from assay.core.runs.writable import encode
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit import json
from assay.kit.clock import utc_now

MAX_ARTIFACT_BYTES = 64 * 1024**3


async def finish_run(sessions: SessionFactory, *, store: FileStore, execution: Execution) -> None:
    """Compute metrics, write artifacts, complete the run. Doing it again changes nothing.

    The run's row is locked only for moments, at the beginning and at the end, so a run can be cancelled meanwhile.

    Raises:
        RunStoppedError: The run was cancelled meanwhile.
        RunIncompleteError: Samples are outstanding.
    """
    begun = await _begin(sessions, store, execution)
    if begun is None:
        return
    plan, group_metrics = begun
    async with transaction(sessions) as session:
        await allow_long_statements(session)
        metrics = await compute_metrics(session, measured(plan), group_metrics=group_metrics)
        totals = (await session.execute(_TOTALS, {"run_id": execution.run_id})).one()
    async with transaction(sessions) as session:
        samples_file_id = await _write_samples(session, sessions, plan, store=store)
        run = await repository.lock_run(session, execution.run_id)
        if RunStatus(run.status) is not RunStatus.FINALIZING or run.execution != execution.number:
            raise RunStoppedError(RunStatus(run.status))
        results = json.dumps(_results(run, metrics)).encode()
        run.result_file_id = await _write_results(session, plan, results, store=store)
        run.samples_file_id = samples_file_id
        run.metrics = metrics
        run.cost_usd = totals.cost_usd
        run.input_tokens, run.output_tokens = totals.input, totals.output
        run.cached_tokens, run.reasoning_tokens = totals.cached, totals.reasoning
        run.status = RunStatus.COMPLETED.value
        run.error = None
        run.completed_at = run.updated_at = utc_now()
        await announce(session, run)


async def _begin(
    sessions: SessionFactory, store: FileStore, execution: Execution
) -> tuple[RunPlan, Mapping[str, Mapping[str, Any]]] | None:
    """Turn the run to ``finalizing``; None when it has completed already."""
    async with transaction(sessions) as session:
        run = await repository.lock_run(session, execution.run_id)
        status = RunStatus(run.status)
        if run.execution != execution.number:
            raise RunStoppedError(status)
        if status is RunStatus.COMPLETED:
            return None
        if status not in {RunStatus.IN_PROGRESS, RunStatus.FINALIZING}:
            raise RunStoppedError(status)
        outstanding = run.total - run.completed - run.failed
        if outstanding:
            raise RunIncompleteError(outstanding)
        run.updated_at = utc_now()
        if status is not RunStatus.FINALIZING:
            run.status = RunStatus.FINALIZING.value
            await announce(session, run)
        return await load_plan(session, store, execution), run.group_metrics


_TOTALS = text("""
    SELECT sum(coalesce(cost_usd, 0) + coalesce(CAST(judge->>'cost_usd' AS numeric), 0))
               FILTER (WHERE cost_usd IS NOT NULL OR judge->>'cost_usd' IS NOT NULL) AS cost_usd,
           sum(input_tokens) AS input, sum(output_tokens) AS output,
           sum(cached_tokens) AS cached, sum(reasoning_tokens) AS reasoning
    FROM run_samples WHERE run_id = :run_id
""")


async def note_failure(sessions: SessionFactory, *, execution: Execution, error: Mapping[str, Any]) -> None:
    """Keep the reason why a run cannot go on, ahead of its failing. The reason may quote the user's data."""
    async with transaction(sessions) as session:
        run = await _lock_live_run(session, execution)
        if run is not None:
            run.error = json.loads(encode(dict(error)))


async def fail_run(sessions: SessionFactory, *, execution: Execution, error: Mapping[str, Any]) -> None:
    """Mark a run as failed, unless it has ended or gone on to another execution. Its samples stay as they are.

    A reason that was noted before is kept instead of ``error``.
    """
    async with transaction(sessions) as session:
        run = await _lock_live_run(session, execution)
        if run is None:
            return
        now = utc_now()
        run.updated_at = now
        if RunStatus(run.status) is RunStatus.CANCELLING:
            run.status, run.cancelled_at, run.error = RunStatus.CANCELLED.value, now, None
        else:
            run.status, run.failed_at, run.error = RunStatus.FAILED.value, now, run.error or dict(error)
        await announce(session, run)


async def mark_cancelled(sessions: SessionFactory, *, execution: Execution) -> None:
    """Mark a run as cancelled, unless it has ended or gone on to another execution (R29)."""
    async with transaction(sessions) as session:
        run = await _lock_live_run(session, execution)
        if run is None:
            return
        run.status, run.error = RunStatus.CANCELLED.value, None
        run.cancelled_at = run.updated_at = utc_now()
        await announce(session, run)


async def _lock_live_run(session: AsyncSession, execution: Execution) -> RunRow | None:
    try:
        run = await repository.lock_run(session, execution.run_id)
    except RunNotFoundError:
        return None
    return None if RunStatus(run.status).is_terminal or run.execution != execution.number else run


async def _write_samples(
    session: AsyncSession,
    sessions: SessionFactory,
    plan: RunPlan,
    *,
    store: FileStore,
) -> UUID:
    # The session is fresh: it takes a connection only when the content has arrived.
    async with aclosing(stream_samples(sessions, plan)) as chunks:
        file = await upload_file(
            session,
            plan.owner,
            store=store,
            filename="samples.jsonl",
            purpose=FilePurpose.EVALS.value,
            chunks=chunks,
            max_bytes=MAX_ARTIFACT_BYTES,
        )
    return file.id


async def _write_results(session: AsyncSession, plan: RunPlan, results: bytes, *, store: FileStore) -> UUID:
    async def chunks() -> AsyncIterator[bytes]:
        yield results

    file = await upload_file(
        session,
        plan.owner,
        store=store,
        filename="results.json",
        purpose=FilePurpose.EVALS.value,
        chunks=chunks(),
        max_bytes=MAX_ARTIFACT_BYTES,
    )
    return file.id


def _results(run: RunRow, metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "object": "eval.results",
        "run_id": str(run.id),
        "suite_id": str(run.suite_id),
        "suite_version": run.suite_version,
        "models": run.models,
        "task_ids": run.task_order,
        "generation": run.generation,
        "request_counts": {"total": run.total, "completed": run.completed, "failed": run.failed},
        "dataset_revisions": run.dataset_revisions,
        "metrics": metrics,
        "created_at": run.created_at,
        "started_at": run.started_at,
    }
