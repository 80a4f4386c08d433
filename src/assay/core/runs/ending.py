"""How a run ends: completed with its metrics and artifacts, failed with a reason, or cancelled where it stood."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files.service import upload_file
from assay.core.files.store import FileStore
from assay.core.files.types import FilePurpose
from assay.core.runs import repository
from assay.core.runs.artifacts import stream_samples
from assay.core.runs.errors import RunStoppedError
from assay.core.runs.metrics import compute_metrics
from assay.core.runs.models import RunRow
from assay.core.runs.plan import RunPlan, load_plan
from assay.core.runs.types import RunStatus
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit import json
from assay.kit.clock import utc_now

MAX_ARTIFACT_BYTES = 64 * 1024**3


async def finish_run(
    sessions: SessionFactory, *, store: FileStore, run_id: UUID, heartbeat: Callable[[], None]
) -> None:
    """Compute metrics, write artifacts, complete the run. Doing it again changes nothing.

    Raises:
        RunStoppedError: The run was cancelled meanwhile.
    """
    async with transaction(sessions) as session:
        run = await repository.lock_run(session, run_id)
        status = RunStatus(run.status)
        if status is RunStatus.COMPLETED:
            return
        if status not in {RunStatus.IN_PROGRESS, RunStatus.FINALIZING}:
            raise RunStoppedError(status)
        run.status = RunStatus.FINALIZING.value
        run.updated_at = utc_now()
        plan = await load_plan(session, store, run_id)
        metrics = await compute_metrics(session, plan, group_metrics=run.group_metrics)
        totals = (await session.execute(_TOTALS, {"run_id": run_id})).one()
    heartbeat()
    async with transaction(sessions) as session:
        samples_file_id = await _write_samples(session, sessions, plan, store=store, heartbeat=heartbeat)
        run = await repository.lock_run(session, run_id)
        if RunStatus(run.status) is not RunStatus.FINALIZING:
            raise RunStoppedError(RunStatus(run.status))
        results = json.dumps(_results(run, metrics)).encode()
        run.result_file_id = await _write_results(session, plan, results, store=store)
        run.samples_file_id = samples_file_id
        run.metrics = metrics
        run.cost_usd = totals.cost_usd
        run.input_tokens, run.output_tokens = totals.input, totals.output
        run.cached_tokens, run.reasoning_tokens = totals.cached, totals.reasoning
        run.status = RunStatus.COMPLETED.value
        run.completed_at = run.updated_at = utc_now()


_TOTALS = text("""
    SELECT sum(coalesce(cost_usd, 0) + coalesce(CAST(judge->>'cost_usd' AS numeric), 0))
               FILTER (WHERE cost_usd IS NOT NULL OR judge->>'cost_usd' IS NOT NULL) AS cost_usd,
           sum(input_tokens) AS input, sum(output_tokens) AS output,
           sum(cached_tokens) AS cached, sum(reasoning_tokens) AS reasoning
    FROM run_samples WHERE run_id = :run_id
""")


async def fail_run(sessions: SessionFactory, *, run_id: UUID, execution: int, error: Mapping[str, Any]) -> None:
    """Mark a run as failed, unless it has ended or gone on to another execution. Its samples stay as they are."""
    async with transaction(sessions) as session:
        run = await repository.lock_run(session, run_id)
        status = RunStatus(run.status)
        if status.is_terminal or run.execution != execution:
            return
        now = utc_now()
        run.updated_at = now
        if status is RunStatus.CANCELLING:
            run.status, run.cancelled_at = RunStatus.CANCELLED.value, now
            return
        run.status, run.failed_at, run.error = RunStatus.FAILED.value, now, dict(error)


async def mark_cancelled(sessions: SessionFactory, *, run_id: UUID, execution: int) -> None:
    """Mark a run as cancelled, unless it has ended or gone on to another execution (R29)."""
    async with transaction(sessions) as session:
        run = await repository.lock_run(session, run_id)
        if RunStatus(run.status).is_terminal or run.execution != execution:
            return
        run.status = RunStatus.CANCELLED.value
        run.cancelled_at = run.updated_at = utc_now()


async def _write_samples(
    session: AsyncSession,
    sessions: SessionFactory,
    plan: RunPlan,
    *,
    store: FileStore,
    heartbeat: Callable[[], None],
) -> UUID:
    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in stream_samples(sessions, plan):
            heartbeat()
            yield chunk

    file = await upload_file(
        session,
        plan.owner,
        store=store,
        filename="samples.jsonl",
        purpose=FilePurpose.EVALS.value,
        chunks=chunks(),
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
        "metrics": metrics,
        "created_at": run.created_at,
        "started_at": run.started_at,
    }
