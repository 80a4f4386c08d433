"""The ``online_evaluation`` workflow: run lanes while something is due, sleep until the next is, end when nothing is.

What is due is in the database. A signal comes with every commit that adds to it, and starts one more lane if there is
room: a lane that waits for slow judges does not hold up what came after. A signal that comes as the workflow ends makes
Temporal refuse the end, and the next look finds the new entries.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from assay.workflows.online_evaluation.shared import (
        ACTIVITIES,
        WAKE,
        WORKFLOW,
        LaneInput,
        LaneReport,
        OnlineEvaluationInput,
        activity_queue,
    )

# A lane writes down what came of its entries; only a database or a sandbox that is away, or a worker that died, makes
# it be repeated.
UNTIL_DONE = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=15))


@workflow.defn(name=WORKFLOW)
class OnlineEvaluationWorkflow:
    """Carries one track of a project's ledger out."""

    def __init__(self) -> None:
        self._woken = True
        self._lanes: list[asyncio.Task[LaneReport]] = []
        self._due_at: datetime | None = None

    @workflow.signal(name=WAKE)
    def wake(self) -> None:
        """Something may be due."""
        self._woken = True

    @workflow.run
    async def run(self, request: OnlineEvaluationInput) -> None:
        """Work until no entry is open."""
        steps = request.max_steps
        while True:
            if self._woken and steps > 0 and len(self._lanes) < request.max_lanes:
                self._woken, self._due_at = False, None
                self._lanes.append(asyncio.create_task(self._run_lane(request)))
                steps -= 1
            elif self._lanes or (steps > 0 and self._due_at is not None):
                await self._wait(can_start=steps > 0 and len(self._lanes) < request.max_lanes)
            elif steps <= 0:
                workflow.continue_as_new(request)
            else:
                return

    async def _wait(self, *, can_start: bool) -> None:
        """Until a lane ends, or there is something to do for another."""
        pause = None
        if self._due_at is not None and can_start:
            pause = max(timedelta(0), self._due_at - workflow.now())

        def changed() -> bool:
            return (self._woken and can_start) or any(lane.done() for lane in self._lanes)

        try:
            await workflow.wait_condition(changed, timeout=pause)
        except TimeoutError:
            self._woken = True
        for lane in [lane for lane in self._lanes if lane.done()]:
            self._lanes.remove(lane)
            self._note(lane.result())

    def _note(self, report: LaneReport) -> None:
        if report.due_seconds is None:
            return
        due_at = workflow.now() + timedelta(seconds=report.due_seconds)
        self._due_at = due_at if self._due_at is None else min(due_at, self._due_at)

    async def _run_lane(self, request: OnlineEvaluationInput) -> LaneReport:
        return await workflow.execute_activity(
            ACTIVITIES[request.track],
            LaneInput(request.project_id),
            result_type=LaneReport,
            task_queue=activity_queue(workflow.info().task_queue, request.track),
            start_to_close_timeout=timedelta(minutes=20),
            heartbeat_timeout=timedelta(seconds=6),
            retry_policy=UNTIL_DONE,
        )
