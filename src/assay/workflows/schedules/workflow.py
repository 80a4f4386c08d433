"""The ``schedule_fire`` workflow: one strike of the clock, handed to the ledger.

It lives for milliseconds. It is a workflow, and not a direct call, because it waits as long as the database or the
workers are away and then happens.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey

from assay.workflows.schedules.shared import SCHEDULED_AT, SETTLE, WORKFLOW, FireInput, SettleInput, SettleReport

_SCHEDULED_AT = SearchAttributeKey.for_datetime(SCHEDULED_AT)
_UNTIL_DONE = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10))


@workflow.defn(name=WORKFLOW)
class ScheduleFireWorkflow:
    """Settles one schedule."""

    @workflow.run
    async def run(self, request: FireInput) -> SettleReport:
        """Hand the strike over, for as long as that takes."""
        scheduled_at = workflow.info().typed_search_attributes.get(_SCHEDULED_AT) or workflow.info().start_time
        return await workflow.execute_activity(
            SETTLE,
            SettleInput(request.schedule_id, scheduled_at.isoformat(), request.kind),
            result_type=SettleReport,
            start_to_close_timeout=timedelta(seconds=15),
            retry_policy=_UNTIL_DONE,
        )
