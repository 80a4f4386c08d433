"""Activities of the ``job`` workflow: thin shells around ``core.jobs.work``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from assay.core.jobs.work.faults import FaultCode
from assay.core.jobs.work.running import cancel_job, fail_job, run_job
from assay.db.engine import SessionFactory
from assay.db.faults import is_transient
from assay.gateway.gateway import Gateway
from assay.sandbox import Sandbox
from assay.workflows.job.shared import CANCEL, FAIL, RUN, JobFailure, JobInput

ATTEMPTS_AT_A_FAULT = 3
BEAT_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


class JobActivities:
    """Holds what the activities work with."""

    def __init__(self, sessions: SessionFactory, gateway: Gateway, sandbox: Sandbox) -> None:
        self._sessions = sessions
        self._gateway = gateway
        self._sandbox = sandbox

    def all(self) -> Sequence[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.run, self.fail, self.cancel]

    @activity.defn(name=RUN)
    async def run(self, request: JobInput) -> None:
        """Carry the job out, or go on with it."""
        try:
            async with _beating():
                await run_job(
                    self._sessions,
                    self._gateway,
                    job_id=UUID(request.job_id),
                    execution=request.execution,
                    sandbox=self._sandbox,
                )
        except Exception as error:
            hopeless = not is_transient(error) and activity.info().attempt >= ATTEMPTS_AT_A_FAULT
            if hopeless:
                _log.exception("job_failed", job_id=request.job_id)
            else:
                _log.warning("job_interrupted", job_id=request.job_id, exc_info=True)
            # What an exception says, and what it was caused by, may hold data; its kind does not.
            message = f"An internal fault ({type(error).__name__}); the log has the rest."
            raise ApplicationError(message, non_retryable=hopeless) from None

    @activity.defn(name=FAIL)
    async def fail(self, request: JobFailure) -> None:
        """Mark the job as failed."""
        await fail_job(
            self._sessions,
            job_id=UUID(request.job_id),
            execution=request.execution,
            code=FaultCode.EXCEPTION,
            message=request.message,
        )

    @activity.defn(name=CANCEL)
    async def cancel(self, request: JobInput) -> None:
        """Mark the job as cancelled."""
        await cancel_job(self._sessions, job_id=UUID(request.job_id), execution=request.execution)


@asynccontextmanager
async def _beating() -> AsyncGenerator[None]:
    """Show that the worker lives, which also lets a cancellation through."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(BEAT_SECONDS)

    task = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
