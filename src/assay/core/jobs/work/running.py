"""From a job's row to its end: completed, failed with a reason, or waiting for more money."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from assay.core.jobs.models import JobRow
from assay.core.jobs.types import JobKind, JobStatus
from assay.core.jobs.work.backtesting import backtest_models
from assay.core.jobs.work.faults import BudgetReachedError, FaultCode, JobFaultError, JobStoppedError
from assay.core.jobs.work.inference import run_inference
from assay.core.jobs.work.job import Work
from assay.core.jobs.work.judging import judge_outputs
from assay.core.jobs.work.ledger import Ledger
from assay.core.jobs.work.programs import check_code
from assay.core.jobs.work.rows import add_to_result
from assay.core.jobs.work.target import Target, read_parameters, read_target
from assay.core.jobs.work.tuning import tune_prompt
from assay.core.jobs.work.uploads import set_up_outputs
from assay.db.engine import SessionFactory
from assay.db.faults import is_transient
from assay.db.session import transaction
from assay.gateway.gateway import Gateway
from assay.kit.clock import utc_now
from assay.sandbox import Sandbox

WATCH_SECONDS: Final = 1.0
"""How often a job at work looks whether it was stopped."""
PROGRAMS: Final[Mapping[JobKind, Callable[[Work], Awaitable[None]]]] = {
    JobKind.INFERENCE: run_inference,
    JobKind.UPLOADED_OUTPUTS_SETUP: set_up_outputs,
    JobKind.JUDGE_SCORING: judge_outputs,
    JobKind.PROMPT_TUNING: tune_prompt,
    JobKind.MODEL_BACKTESTING: backtest_models,
}


async def run_job(
    sessions: SessionFactory, gateway: Gateway, *, job_id: UUID, execution: int, sandbox: Sandbox | None = None
) -> None:
    """Carry a job out, or go on where somebody else stopped.

    Safe to call again after a crash at any point. Ends without a word when the job was cancelled, deleted or handed to
    somebody else.

    Args:
        sessions: Where everything is kept.
        gateway: Asks models.
        job_id: Which job.
        execution: The execution that the caller was started for.
        sandbox: Runs agents that are code; without one such jobs fail.
    """
    job = await _begin(sessions, job_id, execution)
    if job is None:
        return
    ledger = Ledger(sessions, gateway, job_id=job_id, execution=execution, sandbox=sandbox)
    try:
        await ledger.load()
        await _unless_stopped(_carry_out(job, ledger), sessions, job_id, execution)
    except JobFaultError as fault:
        await fail_job(sessions, job_id=job_id, execution=execution, code=fault.code, message=fault.message)
    except BudgetReachedError as empty:
        await _pause(sessions, job_id, execution, empty)
    except JobStoppedError:
        return


async def _carry_out(job: JobRow, ledger: Ledger) -> None:
    parameters = read_parameters(job.result)
    ledger.budget_usd = parameters.budget_usd

    async def look() -> dict[str, Any]:
        async with ledger.sessions() as session:
            return (await read_target(session, job, parameters)).dump()

    target = Target.load(await ledger.once("target", look))
    work = Work(job, parameters, target, ledger)

    async def tell() -> bool:
        await work.log(target.left_out, level="warning")
        return True

    if target.left_out:
        await ledger.once("left out", tell)
    await check_code(ledger, target.prompt, target.function)
    try:
        await PROGRAMS[JobKind(job.kind)](work)
    except JobFaultError as fault:
        if not target.left_out or fault.code not in (FaultCode.NOT_ENOUGH_DATA, FaultCode.NO_TARGET):
            raise
        raise JobFaultError(fault.code, f"{fault.message} {target.left_out}") from fault
    await work.write({"status": JobStatus.COMPLETED.value}, result={"spent_usd": float(ledger.spent_usd)})


async def _unless_stopped(
    work: Coroutine[Any, Any, None], sessions: SessionFactory, job_id: UUID, execution: int
) -> None:
    """Do the work, but drop it within seconds when the job's row says that it is over: a call may take minutes.

    Raises:
        JobStoppedError: The job was cancelled, deleted or handed to somebody else.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_until_stopped(sessions, job_id, execution))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.wait((working, watching))
    if working.cancelled():
        # A watch that could not look has failed; one that saw the end has not.
        watching.result()
        raise JobStoppedError
    working.result()


async def _until_stopped(sessions: SessionFactory, job_id: UUID, execution: int) -> None:
    """Return when the job is no longer this execution's to carry out."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            async with sessions() as session:
                job = await session.get(JobRow, job_id)
        except Exception as error:
            if not is_transient(error):
                raise
            continue
        if job is None or not _is_open(job, execution):
            return


async def _begin(sessions: SessionFactory, job_id: UUID, execution: int) -> JobRow | None:
    """Mark the job as running; None when it is not this execution's to carry out."""
    async with transaction(sessions) as session:
        job = (await session.scalars(select(JobRow).where(JobRow.id == job_id).with_for_update())).one_or_none()
        if job is None or not _is_open(job, execution):
            return None
        job.status, job.updated_at = JobStatus.RUNNING.value, utc_now()
        return job


async def fail_job(sessions: SessionFactory, *, job_id: UUID, execution: int, code: FaultCode, message: str) -> None:
    """End a job that cannot be carried out; what it has found so far stays."""
    async with transaction(sessions) as session:
        job = (await session.scalars(select(JobRow).where(JobRow.id == job_id).with_for_update())).one_or_none()
        if job is None or not _is_open(job, execution):
            return
        job.status, job.updated_at = JobStatus.FAILED.value, utc_now()
        job.report_markdown = f"The job failed: {message}"
        add_to_result(job, {"error": message, "error_code": code.value})


async def cancel_job(sessions: SessionFactory, *, job_id: UUID, execution: int) -> None:
    """End a job whose workflow was cancelled, unless its row says already how it ended."""
    async with transaction(sessions) as session:
        job = (await session.scalars(select(JobRow).where(JobRow.id == job_id).with_for_update())).one_or_none()
        if job is not None and _is_open(job, execution):
            job.status, job.updated_at = JobStatus.CANCELLED.value, utc_now()


async def _pause(sessions: SessionFactory, job_id: UUID, execution: int, empty: BudgetReachedError) -> None:
    reason = (
        f"{empty}. Raise result.parameters.budget_usd and set the status to pending to go on where it stopped; "
        "nothing that was paid for is asked again."
    )
    async with transaction(sessions) as session:
        job = (await session.scalars(select(JobRow).where(JobRow.id == job_id).with_for_update())).one_or_none()
        if job is None or not _is_open(job, execution):
            return
        job.status, job.paused_reason, job.updated_at = JobStatus.PENDING.value, reason, utc_now()
        told = {"reason": reason, "spent_usd": float(empty.spent_usd), "budget_usd": float(empty.budget_usd)}
        add_to_result(job, {"paused": told})


def _is_open(job: JobRow, execution: int) -> bool:
    open_ = not JobStatus(job.status).is_terminal and job.paused_reason is None
    return open_ and job.execution == execution and job.deleted_at is None
