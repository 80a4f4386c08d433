"""Putting commands into the outbox and taking them out.

A command's life: ``enqueue`` inside the caller's transaction → commit → whoever comes first (the process that
committed, or any worker's sweeper) leases it, carries it out and deletes the row. A crash at any point leaves
the row, and the lease runs out; the workflow id makes the second start harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.outbox.models import OutboxRow
from assay.core.outbox.types import Action, OutboxEntry, WorkflowCommand
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

LEASE = timedelta(seconds=10)
LONGEST_DELAY = timedelta(minutes=1)


async def enqueue(session: AsyncSession, command: WorkflowCommand) -> UUID:
    """Store a command in the caller's transaction.

    Returns:
        The entry's id, by which the committing process can carry it out at once.
    """
    now = utc_now()
    row = OutboxRow(
        id=new_id(),
        action=command.action.value,
        workflow=command.workflow,
        workflow_id=command.workflow_id,
        arguments=dict(command.arguments),
        created_at=now,
        due_at=now,
    )
    session.add(row)
    await session.flush()
    return row.id


async def lease_due(session: AsyncSession, *, limit: int = 100) -> list[OutboxEntry]:
    """Take due commands, oldest first; others do not see them until the lease of ten seconds runs out."""
    now = utc_now()
    due = (
        select(OutboxRow.id)
        .where(OutboxRow.due_at <= now)
        .order_by(OutboxRow.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    leased = update(OutboxRow).where(OutboxRow.id.in_(due)).values(due_at=now + LEASE).returning(OutboxRow)
    rows = sorted(await session.scalars(leased), key=lambda row: row.id)
    return [_entry(row) for row in rows]


async def is_pending(session: AsyncSession, action: Action, workflow_id: str) -> bool:
    """Whether such a command waits, or is being carried out."""
    query = select(OutboxRow.id).where(OutboxRow.action == action.value, OutboxRow.workflow_id == workflow_id)
    return await session.scalar(query.limit(1)) is not None


async def forget(session: AsyncSession, entry_ids: Sequence[UUID]) -> None:
    """Delete commands that were carried out."""
    await session.execute(delete(OutboxRow).where(OutboxRow.id.in_(entry_ids)))


async def postpone(session: AsyncSession, entry: OutboxEntry, *, error: str) -> None:
    """Put a command back after a failure, with doubling delays of 1 s to 60 s."""
    delay = min(timedelta(seconds=2 ** min(entry.attempts, 6)), LONGEST_DELAY)
    await session.execute(
        update(OutboxRow)
        .where(OutboxRow.id == entry.id)
        .values(due_at=utc_now() + delay, attempts=OutboxRow.attempts + 1, last_error=error[:1000])
    )


def _entry(row: OutboxRow) -> OutboxEntry:
    command = WorkflowCommand(
        action=Action(row.action), workflow=row.workflow, workflow_id=row.workflow_id, arguments=row.arguments
    )
    return OutboxEntry(id=row.id, command=command, attempts=row.attempts)
