"""The ``eval_run`` workflow: prepare → lanes of samples → scoring of whole groups → finish.

Samples are rows, so the workflow only decides who works and when it is over. Each lane is an activity that leases
chunks until none are left or its time is up; a lane whose worker dies is started again by its heartbeat timeout and
takes up the chunks it held. After a bounded number of lane activities the workflow continues as new.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, is_cancelled_exception

from assay.workflows.eval_run.shared import (
    CANCEL,
    DEFAULT_ACTIVITIES_PER_EXECUTION,
    EXECUTE,
    FAIL,
    FINISH,
    PREPARE,
    SCORE_GROUP,
    WORKFLOW,
    EvalRunInput,
    FailInput,
    LaneInput,
    LaneReport,
    Prepared,
    RunRef,
    ScoreGroupInput,
)

HEARTBEAT = timedelta(seconds=10)
# About a quarter of an hour of outage, then the run fails with the reason and can be retried where it stopped.
OUTAGE = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=1.5,
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=100,
)
# How a run ended must be written down however long the database is away.
UNTIL_DONE = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


@workflow.defn(name=WORKFLOW)
class EvalRunWorkflow:
    """Carries out one execution of a run."""

    @workflow.run
    async def run(self, request: EvalRunInput) -> None:
        """Carry the run to a terminal status, whatever happens."""
        reference = RunRef(request.run_id, request.execution)
        try:
            await self._carry_out(request, reference)
        except (CancelledError, ActivityError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                await self._settle(CANCEL, reference)
            else:
                await self._settle(FAIL, _failure(request, error))

    async def _carry_out(self, request: EvalRunInput, reference: RunRef) -> None:
        prepared = request.prepared or await workflow.execute_activity(
            PREPARE,
            reference,
            result_type=Prepared,
            start_to_close_timeout=timedelta(hours=6),
            heartbeat_timeout=timedelta(seconds=60),
            retry_policy=OUTAGE,
        )
        if await self._run_lanes(request, prepared):
            await self._settle(CANCEL, reference)
            return
        for group in prepared.score_groups:
            await workflow.execute_activity(
                SCORE_GROUP,
                ScoreGroupInput(request.run_id, request.execution, group),
                start_to_close_timeout=timedelta(hours=6),
                heartbeat_timeout=HEARTBEAT,
                retry_policy=OUTAGE,
            )
        await workflow.execute_activity(
            FINISH,
            reference,
            start_to_close_timeout=timedelta(hours=6),
            heartbeat_timeout=timedelta(seconds=60),
            retry_policy=OUTAGE,
        )

    async def _run_lanes(self, request: EvalRunInput, prepared: Prepared) -> bool:
        """Run all lanes to their end; returns whether the run was found to be cancelling."""
        budget = request.max_sample_activities or DEFAULT_ACTIVITIES_PER_EXECUTION
        outstanding = list(range(prepared.lanes))
        while outstanding:
            if budget <= 0:
                workflow.continue_as_new(
                    EvalRunInput(request.run_id, request.execution, request.max_sample_activities, prepared)
                )
            budget -= len(outstanding)
            reports = await asyncio.gather(*(self._run_lane(request, lane, prepared.lanes) for lane in outstanding))
            if any(report.stopped for report in reports):
                return True
            outstanding = [lane for lane, report in zip(outstanding, reports, strict=True) if report.outstanding]
        return False

    async def _run_lane(self, request: EvalRunInput, lane: int, lanes: int) -> LaneReport:
        return await workflow.execute_activity(
            EXECUTE,
            LaneInput(request.run_id, request.execution, lane, lanes),
            result_type=LaneReport,
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=HEARTBEAT,
            retry_policy=OUTAGE,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )

    async def _settle(self, activity: str, argument: RunRef | FailInput) -> None:
        # Shielded: a run that is being cancelled must still be able to say so.
        await asyncio.shield(
            workflow.execute_activity(
                activity, argument, start_to_close_timeout=timedelta(minutes=2), retry_policy=UNTIL_DONE
            )
        )


def _failure(request: EvalRunInput, error: BaseException) -> FailInput:
    cause = error.__cause__ if isinstance(error, ActivityError) and error.__cause__ is not None else error
    if isinstance(cause, ApplicationError):
        details: Any = cause.details[0] if cause.details else {}
        texts = {str(key): str(value) for key, value in cast("dict[Any, Any]", details).items()}
        return FailInput(request.run_id, request.execution, cause.type or "internal", cause.message, texts)
    return FailInput(request.run_id, request.execution, "interrupted", str(cause))
