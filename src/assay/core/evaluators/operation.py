"""What carrying evaluators out needs of them, whoever asks: reading them, and noting that one does not work."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators import access, repository
from assay.core.evaluators.models import EvaluatorRow, EvaluatorVersionRow
from assay.core.evaluators.types import Evaluator, EvaluatorStatus, KeyState, StatusReason
from assay.kit.clock import utc_now

MAX_DETAIL_CHARACTERS = 2000
_KEY_STATES = {
    StatusReason.PROVIDER_KEY_INVALID: KeyState.INVALID,
    StatusReason.PROVIDER_KEY_PERMISSION_DENIED: KeyState.ERROR,
    StatusReason.PROVIDER_KEY_QUOTA_EXCEEDED: KeyState.ERROR,
    StatusReason.PROVIDER_KEY_RATE_LIMITED: KeyState.ERROR,
}


async def load_evaluators(session: AsyncSession, evaluator_ids: Sequence[UUID]) -> dict[UUID, Evaluator]:
    """Evaluators as they are now, deleted ones included."""
    return await repository.load_evaluators(session, evaluator_ids)


async def stop_evaluator(
    session: AsyncSession, evaluator_id: UUID, *, version_id: UUID, reason: StatusReason, detail: str | None
) -> bool:
    """Let an evaluator that does not work switch itself off (P§3.5).

    One that is off already, or whose definition has been changed since, stays as it is.

    Returns:
        Whether it was on.
    """
    query = select(EvaluatorRow).where(EvaluatorRow.id == evaluator_id).with_for_update()
    row = (await session.scalars(query.execution_options(populate_existing=True))).one()
    number = await session.scalar(select(EvaluatorVersionRow.number).where(EvaluatorVersionRow.id == version_id))
    if not row.enabled or row.version != number:
        return False
    row.enabled = False
    row.status, row.status_reason = EvaluatorStatus.ERROR.value, reason.value
    row.status_reason_detail = None if detail is None else detail[:MAX_DETAIL_CHARACTERS]
    row.updated_at = utc_now()
    await session.flush()
    return True


async def blame_key(session: AsyncSession, key_id: UUID, *, reason: StatusReason, message: str) -> None:
    """Remember what a provider said of a key, if it is one of the reasons that lie with the key (P§3.5)."""
    state = _KEY_STATES.get(reason)
    if state is None:
        return
    await access.note_key_failure(session, key_id, state, message)
