"""Activities of the ``eval_run`` workflow: thin shells around ``core.runs``.

An error that will not heal by itself ends the run at once, with its code and message; any other is tried again, because
a database or a sandbox that is away comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from assay.core.files.store import FileStore
from assay.core.runs.ending import fail_run, finish_run, mark_cancelled, note_failure
from assay.core.runs.errors import RunStoppedError
from assay.core.runs.groups import score_group
from assay.core.runs.lane import LONGEST_LANE, Lane, LaneShare, LaneTools
from assay.core.runs.ledger import Execution
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
    STOPPED,
    FailInput,
    LaneInput,
    LaneReport,
    Prepared,
    RunRef,
    ScoreGroup,
    ScoreGroupInput,
)

ATTEMPTS_AT_A_FAULT = 3
ATTEMPTS_AT_A_MISSING_PART = 20
"""A sandbox or a file store that is not there after about two and a half minutes ends the run."""
MAX_FAULT_CHARACTERS = 2000
BEAT_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


class EvalRunActivities:
    """Holds what the activities work with.

    Args:
        tools: Database, models and sandbox.
        store: Where files are.
        wake_dispatcher: Told when the end of a run has let another one start.
        longest_lane: After this long an activity that works through samples returns, to be followed by another.
    """

    def __init__(
        self,
        tools: LaneTools,
        store: FileStore,
        *,
        wake_dispatcher: Callable[[], None],
        longest_lane: timedelta = LONGEST_LANE,
    ) -> None:
        self._tools = tools
        self._store = store
        self._wake = wake_dispatcher
        self._longest_lane = longest_lane

    def all(self) -> Sequence[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.prepare, self.execute, self.score_group, self.finish, self.fail, self.cancel]

    @activity.defn(name=PREPARE)
    async def prepare(self, reference: RunRef) -> Prepared:
        """Lay out the run's samples and cut them into chunks."""
        execution = _execution(reference)
        async with self._explained(execution), _beating():
            preparation = await prepare_run(
                self._tools.sessions,
                store=self._store,
                sandbox=self._tools.sandbox,
                hub=self._tools.hub,
                execution=execution,
            )
        groups = [ScoreGroup(task_no, model_no) for task_no, model_no in preparation.score_groups]
        return Prepared(preparation.lanes, groups)

    @activity.defn(name=EXECUTE)
    async def execute(self, request: LaneInput) -> LaneReport:
        """Work through chunks of samples."""
        execution = _execution(request)
        async with self._explained(execution):
            async with self._tools.sessions() as session:
                plan = await load_plan(session, self._store, execution)
            share = LaneShare.of(plan.config, lane=request.lane, lanes=request.lanes)
            lane = Lane(self._tools, plan, number=request.lane, share=share, longest=self._longest_lane)
            async with _beating(lambda: lane.recorded), _ending_with_worker(lane):
                outcome = await lane.run()
        return LaneReport(outcome.processed, outcome.outstanding, outcome.stopped)

    @activity.defn(name=SCORE_GROUP)
    async def score_group(self, request: ScoreGroupInput) -> int:
        """Score all answers of one model to one task together."""
        execution = _execution(request)
        async with self._explained(execution), _beating():
            return await score_group(
                self._tools,
                store=self._store,
                execution=execution,
                task_no=request.group.task_no,
                model_no=request.group.model_no,
            )

    @activity.defn(name=FINISH)
    async def finish(self, reference: RunRef) -> None:
        """Compute metrics, write artifacts, complete the run."""
        execution = _execution(reference)
        async with self._explained(execution), _beating():
            await finish_run(self._tools.sessions, store=self._store, execution=execution)
        await self._start_waiting(execution)

    @activity.defn(name=FAIL)
    async def fail(self, request: FailInput) -> None:
        """Mark the run as failed."""
        error = {"code": request.code, "message": request.message}
        await fail_run(self._tools.sessions, execution=_execution(request), error=error)
        await self._start_waiting(_execution(request))

    @activity.defn(name=CANCEL)
    async def cancel(self, reference: RunRef) -> None:
        """Mark the run as cancelled."""
        await mark_cancelled(self._tools.sessions, execution=_execution(reference))
        await self._start_waiting(_execution(reference))

    async def _start_waiting(self, execution: Execution) -> None:
        """Start what the run's schedule held back until the run had ended.

        The run has ended whatever comes of it, and what is left undone here the reconciler does.
        """
        try:
            async with transaction(self._tools.sessions) as session:
                await start_after_run(session, catalog=self._tools.gateway.catalog, run_id=execution.run_id)
        except Exception:
            _log.warning("waiting_fire_not_started", run_id=str(execution.run_id), exc_info=True)
        else:
            self._wake()

    @asynccontextmanager
    async def _explained(self, execution: Execution) -> AsyncGenerator[None]:
        """Turn errors into ones that the workflow can read; what may heal is left to be tried again.

        Messages may quote the user's data, so they go to the run's row, and Temporal learns the code alone.
        """
        try:
            yield
        except RunStoppedError as error:
            raise ApplicationError(error.message, type=STOPPED, non_retryable=True) from None
        except Exception as error:
            fault = _most_telling(error)
            if _may_heal(fault):
                _log.warning("activity_failed", run_id=str(execution.run_id), exc_info=True)
                raise ApplicationError(_public_message(fault), type=_code(fault)) from None
            _log.error("run_cannot_go_on", run_id=str(execution.run_id), exc_info=True)
            await note_failure(self._tools.sessions, execution=execution, error=_describe(fault))
            raise ApplicationError(_public_message(fault), type=_code(fault), non_retryable=True) from None


def _execution(request: RunRef | LaneInput | ScoreGroupInput | FailInput) -> Execution:
    return Execution(UUID(request.run_id), request.execution)


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors inside an error: tasks that ran together fail as nested groups."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [leaf for part in group.exceptions for leaf in _leaves(part)]


def _most_telling(error: Exception) -> BaseException:
    """The error that decides: one that will not heal before one that may, a reason of ours before an accident."""
    return min(_leaves(error), key=lambda leaf: (_heals(leaf), not isinstance(leaf, DomainError)))


def _heals(fault: BaseException) -> bool:
    if isinstance(fault, DomainError):
        return fault.kind is ErrorKind.UNAVAILABLE
    return is_transient(fault)


def _may_heal(fault: BaseException) -> bool:
    attempt = activity.info().attempt
    if isinstance(fault, DomainError):
        return _heals(fault) and attempt < ATTEMPTS_AT_A_MISSING_PART
    return _heals(fault) or attempt < ATTEMPTS_AT_A_FAULT


def _code(fault: BaseException) -> str:
    if isinstance(fault, DomainError):
        return fault.code
    return "database_unavailable" if is_transient(fault) else "internal"


def _public_message(fault: BaseException) -> str:
    """What Temporal may know: nothing that could hold data."""
    if isinstance(fault, DomainError):
        return f"{type(fault).__name__}; the run's error has the message"
    if is_transient(fault):
        return f"The database did not answer for too long ({type(fault).__name__}); retry the run when it does."
    return f"Internal error: {type(fault).__name__}"


def _describe(fault: BaseException) -> dict[str, Any]:
    """The run's ``error``."""
    if isinstance(fault, DomainError):
        return {**fault.data, "code": fault.code, "message": fault.message[:MAX_FAULT_CHARACTERS]}
    message = f"Internal error: {type(fault).__name__}: {fault}"
    return {"code": "internal", "message": message[:MAX_FAULT_CHARACTERS]}


def _no_progress() -> int:
    return 0


@asynccontextmanager
async def _beating(progress: Callable[[], int] = _no_progress) -> AsyncGenerator[None]:
    """Heartbeat while the block runs, whatever it waits for: a beat says that this process lives, and hears of a
    cancellation. What the block waits for has time limits of its own.
    """

    async def beat() -> None:
        while True:
            activity.heartbeat(progress())
            await asyncio.sleep(BEAT_SECONDS)

    async with _beside(beat()):
        yield


@asynccontextmanager
async def _ending_with_worker(lane: Lane) -> AsyncGenerator[None]:
    """Let the lane end by itself when the worker shuts down, so that the answers on their way are not lost."""

    async def wait() -> None:
        await activity.wait_for_worker_shutdown()
        lane.end_soon()

    async with _beside(wait()):
        yield


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
