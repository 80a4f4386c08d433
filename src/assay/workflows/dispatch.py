"""Carrying out what the outbox holds: workflows to start or cancel, schedules to set, at least once, after the commit.

Every process with a Temporal client runs one dispatcher. It wakes when a request of the same process has committed, and
every two seconds to sweep up what a crash left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from assay.core.jobs.work.running import cancel_job
from assay.core.outbox.service import forget, is_pending, lease_due, postpone
from assay.core.outbox.types import Action, OutboxEntry, WorkflowCommand
from assay.core.runs.ending import mark_cancelled
from assay.core.runs.ledger import Execution
from assay.db.engine import SessionFactory
from assay.db.faults import is_transient
from assay.db.session import transaction
from assay.workflows.agent_run import shared as agent_run
from assay.workflows.eval_run import shared as eval_run
from assay.workflows.evaluation_backfill import shared as evaluation_backfill
from assay.workflows.job import shared as job
from assay.workflows.online_evaluation import shared as online_evaluation
from assay.workflows.schedules.adapter import TemporalClock
from assay.workflows.schedules.kinds import CLOCKS
from assay.workflows.schedules.syncing import sync_schedule
from assay.workflows.webhook_delivery import shared as webhook_delivery

SWEEP_SECONDS = 2.0
CALL_TIMEOUT = timedelta(seconds=10)

_log = structlog.stdlib.get_logger(__name__)


def _eval_run_input(arguments: Mapping[str, Any]) -> eval_run.EvalRunInput:
    return eval_run.EvalRunInput(
        run_id=str(arguments["run_id"]),
        execution=int(arguments["execution"]),
        max_sample_activities=arguments.get("max_sample_activities"),
    )


def _webhook_delivery_input(arguments: Mapping[str, Any]) -> webhook_delivery.WebhookDeliveryInput:
    return webhook_delivery.WebhookDeliveryInput(str(arguments["endpoint_id"]), str(arguments["subject_id"]))


def _agent_run_input(arguments: Mapping[str, Any]) -> agent_run.AgentRunInput:
    return agent_run.AgentRunInput(str(arguments["run_id"]))


def _response_input(arguments: Mapping[str, Any]) -> agent_run.Progress:
    return agent_run.Progress(str(arguments["response_id"]))


async def _cancel_nothing(sessions: SessionFactory, arguments: Mapping[str, Any]) -> None:
    """The row was ended by whoever cancelled it."""


def _online_evaluation_input(arguments: Mapping[str, Any]) -> online_evaluation.OnlineEvaluationInput:
    return online_evaluation.OnlineEvaluationInput(str(arguments["project_id"]), str(arguments["track"]))


def _evaluation_backfill_input(arguments: Mapping[str, Any]) -> evaluation_backfill.BackfillInput:
    return evaluation_backfill.BackfillInput(str(arguments["backfill_id"]))


def _job_input(arguments: Mapping[str, Any]) -> job.JobInput:
    return job.JobInput(str(arguments["job_id"]), int(arguments["execution"]))


async def _cancel_job(sessions: SessionFactory, arguments: Mapping[str, Any]) -> None:
    reference = _job_input(arguments)
    await cancel_job(sessions, job_id=UUID(reference.job_id), execution=reference.execution)


async def _cancel_eval_run(sessions: SessionFactory, arguments: Mapping[str, Any]) -> None:
    reference = _eval_run_input(arguments)
    await mark_cancelled(sessions, execution=Execution(UUID(reference.run_id), reference.execution))


CANCELLERS: Mapping[str, Callable[[SessionFactory, Mapping[str, Any]], Awaitable[None]]] = {
    eval_run.WORKFLOW: _cancel_eval_run,
    agent_run.WORKFLOW: _cancel_nothing,
    agent_run.RESPONSE: _cancel_nothing,
    job.WORKFLOW: _cancel_job,
}
"""What to do for the rows of a workflow that Temporal does not know; nothing when they have ended."""
INPUTS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    eval_run.WORKFLOW: _eval_run_input,
    agent_run.WORKFLOW: _agent_run_input,
    agent_run.RESPONSE: _response_input,
    evaluation_backfill.WORKFLOW: _evaluation_backfill_input,
    online_evaluation.WORKFLOW: _online_evaluation_input,
    job.WORKFLOW: _job_input,
    webhook_delivery.WORKFLOW: _webhook_delivery_input,
}
SIGNALS: Mapping[str, str] = {
    agent_run.WORKFLOW: agent_run.WAKE,
    agent_run.RESPONSE: agent_run.WAKE,
    online_evaluation.WORKFLOW: online_evaluation.WAKE,
    webhook_delivery.WORKFLOW: webhook_delivery.WAKE,
}
"""The one signal of each workflow that has one."""


def _alike(entries: Sequence[OutboxEntry]) -> list[list[OutboxEntry]]:
    """Entries in groups that one call carries out: all were committed before it, so one signal tells of them all."""
    groups: dict[tuple[Action, str], list[OutboxEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.command.action, entry.command.workflow_id), []).append(entry)
    return [
        part
        for (action, _), group in groups.items()
        for part in ([group] if action is Action.SIGNAL_WITH_START else [[entry] for entry in group])
    ]


class Dispatcher:
    """Moves commands from the outbox to Temporal."""

    def __init__(self, sessions: SessionFactory, client: Client, *, task_queue: str) -> None:
        self._sessions = sessions
        self._client = client
        self._task_queue = task_queue
        self._clock = TemporalClock(client, task_queue=task_queue)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    async def run_forever(self) -> None:
        """Dispatch until cancelled. A database or a Temporal that is away is waited for."""
        while True:
            self._woken.clear()
            try:
                while await self.dispatch_due():
                    pass
            except Exception as error:
                if not is_transient(error):
                    _log.exception("dispatch_failed")
                else:
                    _log.warning("dispatch_postponed", error=repr(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), SWEEP_SECONDS)

    async def dispatch_due(self) -> int:
        """Carry out what is due now.

        Returns:
            How many commands were taken up.
        """
        async with transaction(self._sessions) as session:
            entries = await lease_due(session)
        if entries:
            await asyncio.gather(*(self._carry_out(alike) for alike in _alike(entries)))
        return len(entries)

    async def _carry_out(self, alike: Sequence[OutboxEntry]) -> None:
        """Carry out entries that say the same, once."""
        command = alike[0].command
        try:
            await self._tell(command)
        except (RPCError, RuntimeError, OSError) as error:
            _log.warning("command_postponed", workflow_id=command.workflow_id, error=str(error))
            async with transaction(self._sessions) as session:
                for entry in alike:
                    await postpone(session, entry, error=str(error))
            return
        async with transaction(self._sessions) as session:
            await forget(session, [entry.id for entry in alike])

    async def _tell(self, command: WorkflowCommand) -> None:
        match command.action:
            case Action.START:
                await self._start(command)
            case Action.CANCEL:
                await self._cancel(command)
            case Action.SIGNAL_WITH_START:
                await self._signal_with_start(command)
            case Action.SIGNAL:
                await self._signal(command)
            case Action.SYNC:
                schedule_id = UUID(command.arguments["schedule_id"])
                await sync_schedule(self._sessions, self._clock, CLOCKS[command.workflow], schedule_id)

    async def _start(self, command: WorkflowCommand) -> None:
        with suppress(WorkflowAlreadyStartedError):
            await self._client.start_workflow(
                command.workflow,
                INPUTS[command.workflow](command.arguments),
                id=command.workflow_id,
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                rpc_timeout=CALL_TIMEOUT,
            )

    async def _signal_with_start(self, command: WorkflowCommand) -> None:
        await self._client.start_workflow(
            command.workflow,
            INPUTS[command.workflow](command.arguments),
            id=command.workflow_id,
            task_queue=self._task_queue,
            # One that has ended is started anew: its subject has something to send again.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=SIGNALS[command.workflow],
            rpc_timeout=CALL_TIMEOUT,
        )

    async def _signal(self, command: WorkflowCommand) -> None:
        try:
            handle = self._client.get_workflow_handle(command.workflow_id)
            await handle.signal(SIGNALS[command.workflow], rpc_timeout=CALL_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _cancel(self, command: WorkflowCommand) -> None:
        try:
            await self._client.get_workflow_handle(command.workflow_id).cancel(rpc_timeout=CALL_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            await self._cancel_unknown(command)

    async def _cancel_unknown(self, command: WorkflowCommand) -> None:
        """Cancel what Temporal does not run: it has ended, or was lost, or its start is still to come."""
        async with self._sessions() as session:
            starts = await is_pending(session, Action.START, command.workflow_id)
        if not starts:
            await CANCELLERS[command.workflow](self._sessions, command.arguments)
