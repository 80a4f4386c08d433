"""Activities of the ``eval_run`` workflow: thin shells around ``core.runs``.

An error that will not heal by itself ends the run at once, with its code and message; any other is tried again, because
a database or a sandbox that is away comes back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError

from assay.core.files.store import FileStore
from assay.core.runs.ending import fail_run, finish_run, mark_cancelled
from assay.core.runs.errors import RunStoppedError
from assay.core.runs.groups import score_group
from assay.core.runs.lane import Lane, LaneTools
from assay.core.runs.plan import load_plan
from assay.core.runs.prepare import prepare_run
from assay.core.schedules.firing import start_after_run
from assay.db.faults import is_transient
from assay.db.session import transaction
from assay.kit.errors import DomainError, ErrorKind
from assay.workflows.eval_run.shared import (
    CANCEL,
    EXECUTE,
    FAIL,
    FINISH,
    PREPARE,
    SCORE_GROUP,
    FailInput,
    LaneInput,
    LaneReport,
    Prepared,
    RunRef,
    ScoreGroup,
    ScoreGroupInput,
)

ATTEMPTS_AT_A_FAULT = 3
MAX_FAULT_CHARACTERS = 2000


class EvalRunActivities:
    """Holds what the activities work with."""

    def __init__(self, tools: LaneTools, store: FileStore, *, wake_dispatcher: Callable[[], None]) -> None:
        self._tools = tools
        self._store = store
        self._wake = wake_dispatcher

    def all(self) -> Sequence[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.prepare, self.execute, self.score_group, self.finish, self.fail, self.cancel]

    @activity.defn(name=PREPARE)
    async def prepare(self, reference: RunRef) -> Prepared:
        """Lay out the run's samples and cut them into chunks."""
        async with _explained():
            preparation = await prepare_run(
                self._tools.sessions,
                store=self._store,
                sandbox=self._tools.sandbox,
                run_id=UUID(reference.run_id),
                heartbeat=activity.heartbeat,
            )
        groups = [ScoreGroup(task_no, model_no) for task_no, model_no in preparation.score_groups]
        return Prepared(preparation.lanes, groups)

    @activity.defn(name=EXECUTE)
    async def execute(self, request: LaneInput) -> LaneReport:
        """Work through chunks of samples."""
        async with _explained():
            async with self._tools.sessions() as session:
                plan = await load_plan(session, self._store, UUID(request.run_id))
            share, rest = divmod(plan.config.effective_generation_concurrency, request.lanes)
            lane = Lane(
                self._tools,
                plan,
                name=f"{request.execution}/{request.lane}",
                concurrency=share + (request.lane < rest),
                report=activity.heartbeat,
            )
            outcome = await lane.run()
        return LaneReport(outcome.processed, outcome.outstanding, outcome.stopped)

    @activity.defn(name=SCORE_GROUP)
    async def score_group(self, request: ScoreGroupInput) -> int:
        """Score all answers of one model to one task together."""
        async with _explained():
            return await score_group(
                self._tools,
                store=self._store,
                run_id=UUID(request.run_id),
                task_no=request.group.task_no,
                model_no=request.group.model_no,
                heartbeat=activity.heartbeat,
            )

    @activity.defn(name=FINISH)
    async def finish(self, reference: RunRef) -> None:
        """Compute metrics, write artifacts, complete the run."""
        async with _explained():
            await finish_run(
                self._tools.sessions,
                store=self._store,
                run_id=UUID(reference.run_id),
                heartbeat=activity.heartbeat,
            )
        await self._start_waiting(reference.run_id)

    @activity.defn(name=FAIL)
    async def fail(self, request: FailInput) -> None:
        """Mark the run as failed."""
        error = {"code": request.code, "message": request.message, **request.details}
        await fail_run(self._tools.sessions, run_id=UUID(request.run_id), execution=request.execution, error=error)
        await self._start_waiting(request.run_id)

    @activity.defn(name=CANCEL)
    async def cancel(self, reference: RunRef) -> None:
        """Mark the run as cancelled."""
        await mark_cancelled(self._tools.sessions, run_id=UUID(reference.run_id), execution=reference.execution)
        await self._start_waiting(reference.run_id)

    async def _start_waiting(self, run_id: str) -> None:
        """Start what the run's schedule held back until the run had ended.

        In a transaction of its own: whatever comes of it, the run has ended. A crash in between is made good when the
        activity is tried again, and else by the reconciler.
        """
        async with transaction(self._tools.sessions) as session:
            await start_after_run(session, catalog=self._tools.gateway.catalog, run_id=UUID(run_id))
        self._wake()


@asynccontextmanager
async def _explained() -> AsyncGenerator[None]:
    """Turn errors of ours into ones that the workflow can read; what may heal is left to be retried."""
    try:
        yield
    except RunStoppedError as error:
        raise ApplicationError(error.message, type=error.code, non_retryable=True) from error
    except DomainError as error:
        details = {key: value for key, value in error.data.items() if isinstance(value, str | int | float)}
        heals = error.kind is ErrorKind.UNAVAILABLE
        raise ApplicationError(error.message, details, type=error.code, non_retryable=not heals) from error
    except Exception as error:
        if is_transient(error) or activity.info().attempt < ATTEMPTS_AT_A_FAULT:
            raise
        # A fault of ours does not heal: the run must say so instead of hanging.
        message = f"Internal error: {type(error).__name__}: {error}"
        raise ApplicationError(message[:MAX_FAULT_CHARACTERS], type="internal", non_retryable=True) from error
