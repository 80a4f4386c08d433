"""Runs (M§2.1, rows 14 to 21 and 26)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from assay.core.runs import service
from assay.core.runs.types import RunFilter, RunStatus
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.query import AfterRun, PageLimit, SuiteIdFilter, SuiteVersionFilter
from assay.dialects.mka1.route import EvalsReader, EvalsWriter, Session, State, mka1_router
from assay.dialects.mka1.wire.base import WireList
from assay.dialects.mka1.wire.runs import CreateRun, RetryRun, WireArtifacts, WireOverview, WireRun, WireRunDeleted

router = mka1_router("/api/v1/llm/evals", tag="runs")

MetricName = Annotated[str, Query(min_length=1, max_length=128)]


@router.post("/runs")
async def create_run(body: CreateRun, caller: EvalsWriter, session: Session, state: State) -> WireRun:
    """Queue a run of a suite."""
    run = await service.create_run(
        session,
        caller,
        catalog=state.catalog,
        suite_id=read_id(Prefix.SUITE, body.suite_id, param="suite_id"),
        config=mapping.from_create_run(body),
        suite_version=body.suite_version,
        metadata=body.metadata,
    )
    return mapping.to_run(run)


@router.get("/runs")
async def list_runs(
    caller: EvalsReader,
    session: Session,
    after: AfterRun = None,
    limit: PageLimit = 20,
    owned_only: bool = False,
    suite_id: SuiteIdFilter = None,
    suite_version: SuiteVersionFilter = None,
    status: RunStatus | None = None,
) -> WireList[WireRun]:
    """List runs, newest first."""
    run_filter = RunFilter(suite_id=suite_id, suite_version=suite_version, status=status, owned_only=owned_only)
    page = await service.list_runs(session, caller, run_filter=run_filter, after=after, limit=limit)
    return mapping.to_list(page, mapping.to_run)


@router.get("/runs/{run_id}")
async def get_run(run_id: str, caller: EvalsReader, session: Session) -> WireRun:
    """Retrieve a run."""
    row_id = read_id(Prefix.RUN, run_id, param="run_id")
    return mapping.to_run(await service.get_run(session, caller, run_id=row_id))


@router.delete("/runs/{run_id}")
async def delete_run(run_id: str, caller: EvalsWriter, session: Session) -> WireRunDeleted:
    """Delete a run; it is stopped first if it is still going."""
    row_id = read_id(Prefix.RUN, run_id, param="run_id")
    await service.delete_run(session, caller, run_id=row_id)
    return WireRunDeleted(id=run_id, object="eval.run.deleted", deleted=True)


@router.post("/runs/{run_id}/cancel")
async def cancel_run(run_id: str, caller: EvalsWriter, session: Session) -> WireRun:
    """Ask a run to stop."""
    row_id = read_id(Prefix.RUN, run_id, param="run_id")
    return mapping.to_run(await service.cancel_run(session, caller, run_id=row_id))


@router.post("/runs/{run_id}/rerun-failed")
async def rerun_failed_samples(run_id: str, caller: EvalsWriter, session: Session) -> WireRun:
    """Run the failed samples of a completed run again."""
    row_id = read_id(Prefix.RUN, run_id, param="run_id")
    return mapping.to_run(await service.rerun_failed_samples(session, caller, run_id=row_id))


@router.post("/runs/{run_id}/retry")
async def retry_failed_run(run_id: str, caller: EvalsWriter, session: Session, body: RetryRun | None = None) -> WireRun:
    """Continue a failed or cancelled run."""
    row_id = read_id(Prefix.RUN, run_id, param="run_id")
    budget_usd = None if body is None else body.budget_usd
    return mapping.to_run(await service.retry_run(session, caller, run_id=row_id, budget_usd=budget_usd))


@router.get("/runs/{run_id}/overview")
async def get_run_overview(
    run_id: str, caller: EvalsReader, session: Session, metric: MetricName = "reward"
) -> WireOverview:
    """A run at a glance."""
    row_id = read_id(Prefix.RUN, run_id, param="run_id")
    return mapping.to_overview(await service.get_run_overview(session, caller, run_id=row_id, metric=metric))


@router.get("/runs/{run_id}/artifacts")
async def get_artifacts(run_id: str, caller: EvalsReader, session: Session) -> WireArtifacts:
    """The files that a run left."""
    row_id = read_id(Prefix.RUN, run_id, param="run_id")
    return mapping.to_artifacts(await service.get_run(session, caller, run_id=row_id))
