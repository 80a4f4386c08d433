"""The ``eval_run`` workflow: prepare → lanes of samples → scoring of whole groups → finish.

Samples are rows, so the workflow only decides who works and when it is over. Each lane is an activity that leases
chunks until none are left or its time is up; a lane whose worker dies is started again by its heartbeat timeout and
takes up the chunks it held. After a bounded number of lane activities the workflow continues as new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, is_cancelled_exception

# Nothing but names and values: the sandbox need not load it anew for every execution.
with workflow.unsafe.imports_passed_through():
    from assay.workflows.eval_run.shared import (
        CANCEL,
        DEFAULT_ACTIVITIES_PER_EXECUTION,
        EXECUTE,
        FAIL,
        FINISH,
        PREPARE,
        SCORE_GROUP,
        STOPPED,
        WORKFLOW,
        EvalRunInput,
        FailInput,
        LaneInput,
        LaneReport,
        Prepared,
        RunRef,
        ScoreGroupInput,
    )

# Activities beat once a second whatever they wait for, so this much silence means that the worker is dead or frozen. A
# false alarm costs repeated calls, never a result: what the frozen worker still writes is as good as its successor's.
HEARTBEAT = timedelta(seconds=6)
# Preparing and finishing work through a million rows with less rest for the event loop.
PATIENT_HEARTBEAT = timedelta(seconds=20)
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
        except (CancelledError, ActivityError, ApplicationError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error) or _was_stopped(error):
                await self._settle(CANCEL, reference)
            else:
                await self._settle(FAIL, _failure(request, error))

    async def _carry_out(self, request: EvalRunInput, reference: RunRef) -> None:
        prepared = request.prepared or await workflow.execute_activity(
            PREPARE,
            reference,
            result_type=Prepared,
            start_to_close_timeout=timedelta(hours=6),
            heartbeat_timeout=PATIENT_HEARTBEAT,
            retry_policy=OUTAGE,
        )
        await self._run_lanes(request, prepared)
        for group in prepared.score_groups:
            await workflow.execute_activity(
                SCORE_GROUP,
                ScoreGroupInput(request.run_id, request.execution, group),
                start_to_close_timeout=timedelta(hours=6),
                heartbeat_timeout=PATIENT_HEARTBEAT,
                retry_policy=OUTAGE,
            )
        await workflow.execute_activity(
            FINISH,
            reference,
            start_to_close_timeout=timedelta(hours=6),
            heartbeat_timeout=PATIENT_HEARTBEAT,
            retry_policy=OUTAGE,
        )

    async def _run_lanes(self, request: EvalRunInput, prepared: Prepared) -> None:
        """Run all lanes to their end."""
        budget = request.max_sample_activities or DEFAULT_ACTIVITIES_PER_EXECUTION
        outstanding = list(range(prepared.lanes))
        while outstanding:
            if budget <= 0:
                workflow.continue_as_new(
                    EvalRunInput(request.run_id, request.execution, request.max_sample_activities, prepared)
                )
            budget -= len(outstanding)
            reports = await _all_or_none([self._run_lane(request, lane, prepared.lanes) for lane in outstanding])
            if any(report.stopped for report in reports):
                raise ApplicationError("The run is being cancelled.", type=STOPPED)
            outstanding = [lane for lane, report in zip(outstanding, reports, strict=True) if report.outstanding]

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
        """Write down how the run ended, even if the workflow is cancelled while it does so."""
        settling = asyncio.ensure_future(
            workflow.execute_activity(
                activity, argument, start_to_close_timeout=timedelta(minutes=2), retry_policy=UNTIL_DONE
            )
        )
        while not settling.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(settling)
        await settling


async def _all_or_none(lanes: Sequence[Coroutine[Any, Any, LaneReport]]) -> list[LaneReport]:
    """Run the lanes together. When one fails the others are stopped and waited for, so that none works on."""
    tasks = [asyncio.ensure_future(lane) for lane in lanes]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _was_stopped(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, ActivityError) else error
    return isinstance(cause, ApplicationError) and cause.type == STOPPED


def _failure(request: EvalRunInput, error: BaseException) -> FailInput:
    cause = error.__cause__ if isinstance(error, ActivityError) and error.__cause__ is not None else error
    if isinstance(cause, ApplicationError):
        return FailInput(request.run_id, request.execution, cause.type or "internal", cause.message)
    return FailInput(request.run_id, request.execution, "interrupted", str(cause))
