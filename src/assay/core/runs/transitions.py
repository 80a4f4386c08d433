"""What a change of a run's status sets off outside of it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.models import ProjectRow
from assay.core.runs import repository
from assay.core.runs.models import RunRow
from assay.core.runs.snapshots import write_snapshot
from assay.core.webhooks.service import emit

EVENT_PREFIX = "eval.run."


async def announce(session: AsyncSession, row: RunRow) -> None:
    """Tell whoever wants to know of the run's present status; every change of a status calls this once.

    The caller holds the row locked, or has just made it. The event is in the same transaction as the change.
    """
    await session.flush()
    if row.webhook_endpoint_id is None:
        return
    organization = select(ProjectRow.organization_id).where(ProjectRow.id == row.project_id)
    organization_id = (await session.execute(organization)).scalar_one()
    await emit(
        session,
        endpoint_id=row.webhook_endpoint_id,
        event_type=f"{EVENT_PREFIX}{row.status}",
        subject_id=row.id,
        snapshot=write_snapshot(repository.to_run(row, organization_id)),
    )
