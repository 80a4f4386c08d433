"""The worker role: polls Temporal, carries runs out, dispatches the outbox and sweeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.worker import Worker

from assay.core.datasets.hub.service import HubReader
from assay.core.evaluators.access import JudgeTools
from assay.core.files.service import sweep_files
from assay.core.online.breakers import BreakerRule
from assay.core.online.judging import JudgeRules, Judges
from assay.core.online.service import wake_overdue
from assay.core.requests.service import forget_expired
from assay.core.responses.engine import Engine
from assay.core.responses.service import sweep_unstored
from assay.core.runs.agents import AgentRunner
from assay.core.runs.lane import LONGEST_LANE, LaneTools
from assay.core.runs.service import revive_silent_runs
from assay.core.tools.service import ToolBox
from assay.core.webhooks.sending import forget_ended, wake_stalled
from assay.db.session import transaction
from assay.dialects.mka1.events import render_event
from assay.dialects.mka1.responses import render_response
from assay.outbound.client import GuardedClient
from assay.runtime import (
    Runtime,
    agent_policy,
    hub_access,
    open_hog_sandbox,
    open_sandbox,
    outbound_policy,
    response_tools,
)
from assay.sandbox.contract import Sandbox
from assay.workflows.agent_run.activities import AgentRunActivities
from assay.workflows.agent_run.workflow import AgentRunWorkflow, ResponseWorkflow
from assay.workflows.dispatch import Dispatcher
from assay.workflows.eval_run.activities import EvalRunActivities
from assay.workflows.eval_run.workflow import EvalRunWorkflow
from assay.workflows.evaluation_backfill.activities import BackfillActivities
from assay.workflows.evaluation_backfill.workflow import EvaluationBackfillWorkflow
from assay.workflows.job.activities import JobActivities
from assay.workflows.job.workflow import JobWorkflow
from assay.workflows.online_evaluation import shared as online
from assay.workflows.online_evaluation.activities import OnlineEvaluationActivities
from assay.workflows.online_evaluation.workflow import OnlineEvaluationWorkflow
from assay.workflows.schedules.activities import ScheduleActivities
from assay.workflows.schedules.adapter import TemporalClock
from assay.workflows.schedules.kinds import AgentSchedules, EvalSchedules, ScheduleKind
from assay.workflows.schedules.syncing import Reconciler
from assay.workflows.schedules.workflow import ScheduleFireWorkflow
from assay.workflows.webhook_delivery.activities import WebhookDeliveryActivities
from assay.workflows.webhook_delivery.sender import Sender
from assay.workflows.webhook_delivery.shared import activity_queue
from assay.workflows.webhook_delivery.workflow import WebhookDeliveryWorkflow

GRACE = timedelta(seconds=5)
"""How long activities may go on once the worker is asked to stop; then they are taken up elsewhere."""
SWEEP_SECONDS = 60.0
MAX_CONCURRENT_ACTIVITIES = 100
MAX_CONCURRENT_WEBHOOKS = 100
MAX_CONCURRENT_PROGRAMS = 8
MAX_CONCURRENT_JUDGES = 16

_log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def running_worker(runtime: Runtime, *, longest_lane: timedelta = LONGEST_LANE) -> AsyncGenerator[Dispatcher]:
    """Run the worker inside the block; gives the process's dispatcher.

    Args:
        runtime: What the process has open.
        longest_lane: After this long an activity that works through samples returns, to be followed by another.
    """
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(open_sandbox())
        dispatcher = await stack.enter_async_context(running_dispatcher(runtime))
        agents = AgentRunner(agent_policy(runtime.settings), dispatcher.wake)
        web = GuardedClient(outbound_policy(runtime.settings))
        hub = HubReader(hub_access(runtime.settings), web)
        tools = LaneTools(runtime.sessions, runtime.gateway, sandbox, agents, web, hub)
        activities = EvalRunActivities(tools, runtime.files, wake_dispatcher=dispatcher.wake, longest_lane=longest_lane)
        backfills = BackfillActivities(runtime.sessions, wake_dispatcher=dispatcher.wake)
        schedules = ScheduleActivities(runtime.sessions, schedule_kinds(runtime), wake_dispatcher=dispatcher.wake)
        jobs = JobActivities(runtime.sessions, runtime.gateway, sandbox)
        await stack.enter_async_context(_background(lambda: _sweep_forever(runtime)))
        await stack.enter_async_context(_background(_reconciler(runtime, dispatcher).run_forever))
        runs = AgentRunActivities(response_engine(runtime, sandbox), wake_dispatcher=dispatcher.wake)
        task_queue = runtime.settings.temporal.task_queue
        hog = await stack.enter_async_context(open_hog_sandbox())
        await stack.enter_async_context(
            _polling(
                _temporal_worker(
                    runtime.temporal,
                    task_queue,
                    workflows=[
                        AgentRunWorkflow,
                        EvalRunWorkflow,
                        EvaluationBackfillWorkflow,
                        JobWorkflow,
                        OnlineEvaluationWorkflow,
                        ResponseWorkflow,
                        ScheduleFireWorkflow,
                        WebhookDeliveryWorkflow,
                    ],
                    activities=[*activities.all(), *runs.all(), *schedules.all(), *backfills.all(), *jobs.all()],
                    slots=MAX_CONCURRENT_ACTIVITIES,
                ),
                _temporal_worker(
                    runtime.temporal,
                    activity_queue(task_queue),
                    activities=WebhookDeliveryActivities(webhook_sender(runtime)).all(),
                    slots=MAX_CONCURRENT_WEBHOOKS,
                ),
                *_online_workers(
                    runtime, task_queue, OnlineEvaluationActivities(runtime.sessions, hog, judges(runtime))
                ),
            )
        )
        _log.info("worker_started", task_queue=task_queue)
        yield dispatcher


def response_engine(runtime: Runtime, sandbox: Sandbox) -> Engine:
    """What responses and agents' runs are carried out with."""
    return Engine(
        sessions=runtime.sessions,
        gateway=runtime.gateway,
        toolbox=ToolBox(GuardedClient(outbound_policy(runtime.settings)), sandbox),
        tools=response_tools(runtime),
        render=render_response,
    )


def _online_workers(runtime: Runtime, task_queue: str, activities: OnlineEvaluationActivities) -> Iterator[Worker]:
    """One for each track of the ledger."""
    for track, carried, slots in (
        (online.PROGRAMS, activities.programs(), MAX_CONCURRENT_PROGRAMS),
        (online.JUDGES, activities.judging(), MAX_CONCURRENT_JUDGES),
    ):
        queue = online.activity_queue(task_queue, track)
        yield _temporal_worker(runtime.temporal, queue, activities=carried, slots=slots)


def judges(runtime: Runtime) -> Judges:
    """What asks models about production traffic."""
    online_settings = runtime.settings.online
    rules = JudgeRules(
        pauses=[timedelta(seconds=seconds) for seconds in online_settings.judge_retry_seconds],
        breaker=BreakerRule(online_settings.breaker_failures, timedelta(seconds=online_settings.breaker_seconds)),
    )
    tools = JudgeTools(runtime.gateway.catalog, runtime.secrets, online_settings.judge_provider)
    return Judges(runtime.gateway, tools, rules)


def webhook_sender(runtime: Runtime) -> Sender:
    """What delivers webhooks, with the payloads of the dialect that has them."""
    outbound = runtime.settings.outbound
    return Sender(
        runtime.sessions,
        GuardedClient(outbound_policy(runtime.settings)),
        secrets=runtime.secrets,
        render=render_event,
        delays=[timedelta(seconds=seconds) for seconds in outbound.webhook_retry_seconds],
    )


def _temporal_worker(
    client: Client,
    task_queue: str,
    *,
    workflows: Sequence[type] = (),
    activities: Sequence[Callable[..., Any]],
    slots: int,
) -> Worker:
    return Worker(
        client,
        task_queue=task_queue,
        workflows=workflows,
        activities=activities,
        # Left to the library, this is a digest for which it compiles every imported module: two seconds.
        build_id=f"assay-{version('assay')}",
        max_concurrent_activities=slots,
        graceful_shutdown_timeout=GRACE,
        max_heartbeat_throttle_interval=timedelta(seconds=2),
        default_heartbeat_throttle_interval=timedelta(seconds=2),
    )


@asynccontextmanager
async def _polling(*workers: Worker) -> AsyncGenerator[None]:
    """Run Temporal workers inside the block; the first that fails ends the block with its error.

    Each of them entered as a context of its own would cancel this task when it fails. Where two fail together, as they
    do without their namespace, the second cancellation hits the clean-up of the first, and the reason is lost.
    """
    try:
        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(worker.run()) for worker in workers]
            yield
            for run in runs:
                run.cancel()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


@asynccontextmanager
async def running_dispatcher(runtime: Runtime) -> AsyncGenerator[Dispatcher]:
    """Dispatch the outbox inside the block."""
    dispatcher = Dispatcher(runtime.sessions, runtime.temporal, task_queue=runtime.settings.temporal.task_queue)
    async with _background(dispatcher.run_forever):
        yield dispatcher


def _reconciler(runtime: Runtime, dispatcher: Dispatcher) -> Reconciler:
    return Reconciler(
        runtime.engine,
        runtime.sessions,
        TemporalClock(runtime.temporal, task_queue=runtime.settings.temporal.task_queue),
        kinds=schedule_kinds(runtime),
        wake_dispatcher=dispatcher.wake,
    )


def schedule_kinds(runtime: Runtime) -> list[ScheduleKind]:
    """Everything that has schedules."""
    return [EvalSchedules(runtime.gateway.catalog), AgentSchedules(agent_policy(runtime.settings))]


@asynccontextmanager
async def _background(step: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    task = asyncio.ensure_future(step())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sweep_forever(runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            async with transaction(runtime.sessions) as session:
                await sweep_files(session, store=runtime.files)
                await forget_expired(session)
                await wake_stalled(session)
                await forget_ended(session)
                await wake_overdue(session)
                await revive_silent_runs(session)
                await sweep_unstored(session)
        except Exception:
            _log.exception("sweep_failed")
