"""The ``webhook_delivery`` workflow: attempt what is due, sleep until the next attempt, end when nothing is pending.

Which delivery is next and when is in the database; the workflow owns the pauses. A signal cuts a pause short, so a
delivery that is asked for again, or the first event after a quiet time, goes out at once. A signal that comes as the
workflow ends makes Temporal refuse the end, and the next look finds the new delivery.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from assay.workflows.webhook_delivery.shared import (
    ADVANCE,
    WAKE,
    WORKFLOW,
    Advanced,
    WebhookDeliveryInput,
    activity_queue,
)

# An attempt writes down what came of it; only a database that is away, or a worker that died, makes it be repeated.
UNTIL_DONE = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


@workflow.defn(name=WORKFLOW)
class WebhookDeliveryWorkflow:
    """Delivers one run's events to one endpoint."""

    def __init__(self) -> None:
        self._woken = False

    @workflow.signal(name=WAKE)
    def wake(self) -> None:
        """There may be something to send."""
        self._woken = True

    @workflow.run
    async def run(self, request: WebhookDeliveryInput) -> None:
        """Deliver until nothing is pending."""
        for _ in range(request.max_steps):
            self._woken = False
            left = await self._advance(request)
            if left.wait_seconds is not None:
                await self._sleep(left.wait_seconds)
            elif not self._woken:
                return
        workflow.continue_as_new(request)

    async def _advance(self, request: WebhookDeliveryInput) -> Advanced:
        return await workflow.execute_activity(
            ADVANCE,
            request,
            result_type=Advanced,
            task_queue=activity_queue(workflow.info().task_queue),
            start_to_close_timeout=timedelta(minutes=1),
            heartbeat_timeout=timedelta(seconds=6),
            retry_policy=UNTIL_DONE,
        )

    async def _sleep(self, seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(lambda: self._woken, timeout=timedelta(seconds=seconds))
