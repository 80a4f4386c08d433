"""Waking whoever carries a project's ledger out, once the transaction stands."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand

WORKFLOW = "online_evaluation"
BACKFILL_WORKFLOW = "evaluation_backfill"


async def wake(session: AsyncSession, project_id: UUID) -> None:
    """There is something due, or something that will be."""
    command = WorkflowCommand(
        Action.SIGNAL_WITH_START, WORKFLOW, f"{WORKFLOW}/{project_id}", {"project_id": str(project_id)}
    )
    await enqueue(session, command)


async def start_backfill(session: AsyncSession, backfill_id: UUID) -> None:
    """Carry a backfill out."""
    command = WorkflowCommand(
        Action.START, BACKFILL_WORKFLOW, f"{BACKFILL_WORKFLOW}/{backfill_id}", {"backfill_id": str(backfill_id)}
    )
    await enqueue(session, command)
