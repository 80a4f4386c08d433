"""The ``response`` and ``agent_run`` workflows.

    begin → steps before the first turn → (turn → its steps)* → an answer, a limit, or the client's turn

The workflow decides the order; what was said, asked and answered is in the database. Each activity finds out for itself
whether its work was done before, so one that is started again does nothing twice. An agent's run is first turned into a
response, whose workflow is this same loop.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from assay.workflows.agent_run.shared import (
    BEGIN,
    COMPACT,
    COMPLETE,
    END_SLEEP,
    FAIL,
    RESPONSE,
    SETTLE,
    STEP,
    SUBMIT,
    TURN,
    WAKE,
    WORKFLOW,
    AgentRunInput,
    Begun,
    Failure,
    Progress,
    StepDone,
    StepRef,
    Submitted,
    TurnDone,
)

T = TypeVar("T")

# What can be wrong with a response is written down by the activity; what comes here is a database that is away, a
# worker that died, or a fault of ours, which must end some time.
_BOOKKEEPING = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
_WORK = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30), maximum_attempts=20)
_HEARTBEAT = timedelta(seconds=6)
_LONGEST_TURN = timedelta(hours=1)
_LONGEST_STEP = timedelta(minutes=20)
_FIRST_LOOK_SECONDS = 0.5
_LONGEST_LOOK_SECONDS = 10.0


class _Loop:
    """What both workflows do."""

    def __init__(self) -> None:
        self._wakes = 0

    @workflow.signal(name=WAKE)
    def wake(self) -> None:
        """Somebody sent something to go on with."""
        self._wakes += 1

    async def carry_out(self, progress: Progress) -> None:
        """Go on until the response has ended; what goes wrong for good ends it too."""
        try:
            await self._go_on(progress)
        except ActivityError as error:
            if is_cancelled_exception(error):
                await self._settle(progress)
                raise
            failure = Failure(progress.response_id, "internal_error")
            await _bookkeeping(FAIL, failure, type(None))
        except asyncio.CancelledError:
            await self._settle(progress)
            raise

    async def _settle(self, progress: Progress) -> None:
        # The workflow is cancelled already, and this must happen all the same.
        await asyncio.shield(_bookkeeping(SETTLE, StepRef(progress.response_id, 0), type(None)))

    async def _go_on(self, progress: Progress) -> None:
        response_id = progress.response_id
        if not progress.begun:
            begun = await _bookkeeping(BEGIN, StepRef(response_id, 0), Begun)
            if begun.steps is None or not await self._take_steps(response_id, 0, begun.steps, parallel=False):
                return
        turn = progress.turn
        while True:
            done = await self._take_turn(response_id, turn)
            if done.over or not await self._take_steps(response_id, done.first, done.count, parallel=done.parallel):
                return
            if done.last:
                await _bookkeeping(COMPLETE, StepRef(response_id, 0), type(None))
                return
            turn += 1
            if turn - progress.turn >= progress.max_turns:
                workflow.continue_as_new(
                    args=[replace(progress, turn=turn, begun=True)],
                    workflow=RESPONSE,
                )

    async def _take_turn(self, response_id: str, turn: int) -> TurnDone:
        reference = StepRef(response_id, turn)
        done = await _work(TURN, reference, TurnDone, _LONGEST_TURN)
        while done.compact:
            await _work(COMPACT, reference, type(None), _LONGEST_TURN)
            done = await _work(TURN, reference, TurnDone, _LONGEST_TURN)
        return done

    async def _take_steps(self, response_id: str, first: int, count: int, *, parallel: bool) -> bool:
        """Take steps; False when the response has ended meanwhile."""
        references = [StepRef(response_id, first + index) for index in range(count)]
        if parallel:
            return all(await asyncio.gather(*(self._take_step(reference) for reference in references)))
        for reference in references:
            if not await self._take_step(reference):
                return False
        return True

    async def _take_step(self, reference: StepRef) -> bool:
        pause = _FIRST_LOOK_SECONDS
        wakes = self._wakes
        while True:
            done = await _work(STEP, reference, StepDone, _LONGEST_STEP)
            if done.sleep_seconds is not None:
                await self._sleep(done.sleep_seconds, wakes)
                await _bookkeeping(END_SLEEP, reference, type(None))
                return True
            if not done.waiting:
                return not done.over
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)

    async def _sleep(self, seconds: float, wakes: int) -> None:
        if seconds > 0:
            with suppress(asyncio.TimeoutError):
                await workflow.wait_condition(lambda: self._wakes > wakes, timeout=timedelta(seconds=seconds))


@workflow.defn(name=RESPONSE)
class ResponseWorkflow(_Loop):
    """Carries a response out."""

    @workflow.run
    async def run(self, progress: Progress) -> None:
        """Go on until it has ended."""
        await self.carry_out(progress)


@workflow.defn(name=WORKFLOW)
class AgentRunWorkflow(_Loop):
    """Carries an agent's run out."""

    @workflow.run
    async def run(self, request: AgentRunInput) -> None:
        """Turn the run into a response, and go on until that has ended."""
        submitted = await _bookkeeping(SUBMIT, request, Submitted)
        if submitted.response_id is not None:
            await self.carry_out(Progress(submitted.response_id))


async def _bookkeeping(name: str, argument: Any, result_type: type[T]) -> T:
    return await workflow.execute_activity(
        name,
        argument,
        result_type=result_type,
        start_to_close_timeout=timedelta(seconds=20),
        retry_policy=_BOOKKEEPING,
    )


async def _work(name: str, argument: Any, result_type: type[T], longest: timedelta) -> T:
    return await workflow.execute_activity(
        name,
        argument,
        result_type=result_type,
        start_to_close_timeout=longest,
        heartbeat_timeout=_HEARTBEAT,
        retry_policy=_WORK,
    )
