"""The ``evaluation_backfill`` workflow: take a backfill on, step by step, until it has ended.

Where the scan is stands in the backfill's row, so a step that is repeated goes on where the last one committed. A
cancelled backfill ends at its next step.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from assay.workflows.evaluation_backfill.shared import ADVANCE, WORKFLOW, BackfillInput, BackfillReport

UNTIL_DONE = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
LONGEST_WAIT_SECONDS = 15.0


@workflow.defn(name=WORKFLOW)
class EvaluationBackfillWorkflow:
    """Carries a backfill to its end."""

    @workflow.run
    async def run(self, request: BackfillInput) -> None:
        """Work until the backfill has ended."""
        waits = 0
        for _ in range(request.max_steps):
            report = await self._advance(request)
            if report.wait_seconds is None:
                return
            waits = waits + 1 if report.wait_seconds > 0 else 0
            # Waiting for slow judges, the pauses grow.
            await asyncio.sleep(min(report.wait_seconds * 1.3 ** max(0, waits - 1), LONGEST_WAIT_SECONDS))
        workflow.continue_as_new(request)

    async def _advance(self, request: BackfillInput) -> BackfillReport:
        return await workflow.execute_activity(
            ADVANCE,
            request,
            result_type=BackfillReport,
            start_to_close_timeout=timedelta(minutes=1),
            retry_policy=UNTIL_DONE,
        )
