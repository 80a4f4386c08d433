"""The activities of the ``agent_run`` and ``response`` workflows: thin shells around ``core.responses``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any
from uuid import UUID

from temporalio import activity

from assay.core.responses.calls import take_step, wake
from assay.core.responses.engine import Engine
from assay.core.responses.turns import compact, take_turn
from assay.workflows.agent_run.shared import (
    BEGIN,
    COMPACT,
    COMPLETE,
    END_SLEEP,
    FAIL,
    SETTLE,
    STEP,
    SUBMIT,
    TURN,
    AgentRunInput,
    Begun,
    Failure,
    StepDone,
    StepRef,
    Submitted,
    TurnDone,
)

HEARTBEAT_SECONDS = 2.0


class AgentRunActivities:
    """Holds what the activities work with."""

    def __init__(self, engine: Engine, *, wake_dispatcher: Callable[[], None]) -> None:
        self._engine = engine
        self._wake_dispatcher = wake_dispatcher

    def all(self) -> Sequence[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [
            self.submit,
            self.begin,
            self.turn,
            self.compact,
            self.step,
            self.end_sleep,
            self.complete,
            self.fail,
            self.settle,
        ]

    @activity.defn(name=SUBMIT)
    async def submit(self, request: AgentRunInput) -> Submitted:
        """Turn a run into a response."""
        response_id = await self._engine.submit_run(UUID(request.run_id))
        return Submitted(None if response_id is None else str(response_id))

    @activity.defn(name=BEGIN)
    async def begin(self, reference: StepRef) -> Begun:
        """Take a response up."""
        return Begun(await self._engine.begin(UUID(reference.response_id)))

    @activity.defn(name=TURN)
    async def turn(self, reference: StepRef) -> TurnDone:
        """Take a model turn."""
        async with _heartbeats():
            turned = await take_turn(self._engine, UUID(reference.response_id), reference.number)
        return TurnDone(**asdict(turned))

    @activity.defn(name=COMPACT)
    async def compact(self, reference: StepRef) -> None:
        """Summarise the context."""
        async with _heartbeats():
            await compact(self._engine, UUID(reference.response_id))

    @activity.defn(name=STEP)
    async def step(self, reference: StepRef) -> StepDone:
        """Do a tool call, or list the tools of a server."""
        async with _heartbeats():
            stepped = await take_step(self._engine, UUID(reference.response_id), reference.number)
        # A call of another agent has queued its run.
        self._wake_dispatcher()
        return StepDone(**asdict(stepped))

    @activity.defn(name=END_SLEEP)
    async def end_sleep(self, reference: StepRef) -> None:
        """Write down that a sleep is over."""
        await wake(self._engine, UUID(reference.response_id), reference.number)

    @activity.defn(name=COMPLETE)
    async def complete(self, reference: StepRef) -> None:
        """End a response that waits for its client."""
        await self._engine.end_completed(UUID(reference.response_id))

    @activity.defn(name=FAIL)
    async def fail(self, failure: Failure) -> None:
        """End a response that cannot go on."""
        message = "Something is wrong on the server's side; its log says what."
        await self._engine.fail(UUID(failure.response_id), {"code": failure.code, "message": message})

    @activity.defn(name=SETTLE)
    async def settle(self, reference: StepRef) -> None:
        """Write down that a response was cancelled."""
        await self._engine.settle(UUID(reference.response_id))


@asynccontextmanager
async def _heartbeats() -> AsyncGenerator[None]:
    """Show that the worker lives, so that a dead one's work is taken up in seconds and cancelling reaches it."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    task = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
