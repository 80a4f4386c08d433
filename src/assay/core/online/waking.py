"""Waking whoever carries a project's ledger out, once the transaction stands.

Programs are quick and judges are slow, so each has a track of its own, and neither waits for the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.types import EvaluatorKind
from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand

WORKFLOW = "online_evaluation"
BACKFILL_WORKFLOW = "evaluation_backfill"


class Track(StrEnum):
    """Which entries are carried out together."""

    PROGRAMS = "programs"
    JUDGES = "judges"

    @property
    def runtimes(self) -> tuple[EvaluatorKind, ...]:
        """The evaluators of the track."""
        return tuple(kind for kind in EvaluatorKind if track_of(kind) is self)


def track_of(kind: EvaluatorKind) -> Track:
    """The track of an evaluator."""
    return Track.JUDGES if kind is EvaluatorKind.LLM_JUDGE else Track.PROGRAMS


async def wake(session: AsyncSession, project_id: UUID, tracks: Iterable[Track]) -> None:
    """There is something due on these tracks, or something that will be."""
    for track in sorted(set(tracks)):
        arguments = {"project_id": str(project_id), "track": track.value}
        workflow_id = f"{WORKFLOW}/{project_id}/{track.value}"
        await enqueue(session, WorkflowCommand(Action.SIGNAL_WITH_START, WORKFLOW, workflow_id, arguments))


async def start_backfill(session: AsyncSession, backfill_id: UUID) -> None:
    """Carry a backfill out."""
    command = WorkflowCommand(
        Action.START, BACKFILL_WORKFLOW, f"{BACKFILL_WORKFLOW}/{backfill_id}", {"backfill_id": str(backfill_id)}
    )
    await enqueue(session, command)
