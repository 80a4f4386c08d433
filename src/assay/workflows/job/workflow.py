"""The ``job`` workflow: one long activity, started again wherever its worker dies; then the end is written down.

The activity walks through what the ledger has and goes on where the last one stopped (``core.jobs.work``), so the
workflow needs to know nothing of what a job consists of.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from assay.workflows.job.shared import CANCEL, FAIL, RUN, WORKFLOW, JobFailure, JobInput

# The activity beats once a second whatever it waits for, so this much silence means that its worker is dead.
HEARTBEAT = timedelta(seconds=6)
# About a quarter of an hour of outage; faults of ours end it sooner.
OUTAGE = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=1.2,
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=100,
)
UNTIL_DONE = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


@workflow.defn(name=WORKFLOW)
class JobWorkflow:
    """Carries out one execution of a job."""

    @workflow.run
    async def run(self, request: JobInput) -> None:
        """Carry the job to its end, whatever happens."""
        try:
            await workflow.execute_activity(
                RUN,
                request,
                start_to_close_timeout=timedelta(days=7),
                heartbeat_timeout=HEARTBEAT,
                retry_policy=OUTAGE,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except (ActivityError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                await self._settle(CANCEL, request)
            else:
                await self._settle(FAIL, JobFailure(request.job_id, request.execution, _message(error)))

    async def _settle(self, activity: str, argument: JobInput | JobFailure) -> None:
        """Write down how the job ended, even if the workflow is cancelled while it does so."""
        settling = asyncio.ensure_future(
            workflow.execute_activity(
                activity, argument, start_to_close_timeout=timedelta(minutes=2), retry_policy=UNTIL_DONE
            )
        )
        while not settling.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(settling)
        await settling


def _message(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, ActivityError) and error.__cause__ is not None else error
    return cause.message if isinstance(cause, ApplicationError) else str(cause)
