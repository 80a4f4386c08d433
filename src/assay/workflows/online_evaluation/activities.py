"""Activities of the ``online_evaluation`` workflow: thin shells around ``core.online``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from temporalio import activity

from assay.core.online.judge_lanes import JudgeLane
from assay.core.online.judging import Judges
from assay.core.online.lanes import Holdings, run_programs_lane
from assay.core.online.waking import Track
from assay.db.engine import SessionFactory
from assay.metrics import observe_outcomes
from assay.sandbox.hog import HogSandbox
from assay.workflows.online_evaluation.shared import RUN_JUDGES, RUN_PROGRAMS, LaneInput, LaneReport

BEAT_SECONDS = 1.0


class OnlineEvaluationActivities:
    """Holds what the activities work with.

    Args:
        sessions: The database.
        sandbox: Runs Hog programs.
        judges: Asks models.
    """

    def __init__(self, sessions: SessionFactory, sandbox: HogSandbox, judges: Judges) -> None:
        self._sessions = sessions
        self._sandbox = sandbox
        self._judges = judges

    def programs(self) -> Sequence[Callable[..., Any]]:
        """Activities of the track of programs."""
        return [self.run_programs]

    def judging(self) -> Sequence[Callable[..., Any]]:
        """Activities of the track of judges."""
        return [self.run_judges]

    @activity.defn(name=RUN_PROGRAMS)
    async def run_programs(self, request: LaneInput) -> LaneReport:
        """Carry out Hog and sentiment entries."""
        async with self._lane(request, Track.PROGRAMS) as holdings:
            outcome = await run_programs_lane(holdings, self._sandbox)
        return LaneReport(outcome.recorded, outcome.due_seconds)

    @activity.defn(name=RUN_JUDGES)
    async def run_judges(self, request: LaneInput) -> LaneReport:
        """Carry out entries of judges."""
        async with self._lane(request, Track.JUDGES) as holdings:
            outcome = await JudgeLane(holdings, self._judges).run()
        return LaneReport(outcome.recorded, outcome.due_seconds)

    @asynccontextmanager
    async def _lane(self, request: LaneInput, track: Track) -> AsyncGenerator[Holdings]:
        info = activity.info()
        holder = f"{info.workflow_run_id}/{info.activity_id}"
        holdings = Holdings(
            self._sessions,
            UUID(request.project_id),
            holder=holder,
            runtimes=track.runtimes,
            observer=observe_outcomes,
        )
        async with _beating(lambda: holdings.recorded):
            if info.attempt > 1:
                await holdings.take_back()
            yield holdings


@asynccontextmanager
async def _beating(progress: Callable[[], int]) -> AsyncGenerator[None]:
    """Show that the worker lives, so that a dead one's lane is begun again in seconds."""

    async def beat() -> None:
        while True:
            activity.heartbeat(progress())
            await asyncio.sleep(BEAT_SECONDS)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
