"""What carrying evaluators out needs of them, whoever asks: reading them, and noting that one does not work."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.models import EvaluatorRow, EvaluatorVersionRow
from assay.core.evaluators.rows import read_evaluator
from assay.core.evaluators.types import Evaluator, EvaluatorStatus, StatusReason
from assay.kit.clock import utc_now

MAX_DETAIL_CHARACTERS = 2000


async def load_evaluators(session: AsyncSession, evaluator_ids: Sequence[UUID]) -> dict[UUID, Evaluator]:
    """Evaluators as they are now, deleted ones included."""
    query = (
        select(EvaluatorRow, EvaluatorVersionRow.id)
        .join(
            EvaluatorVersionRow,
            (EvaluatorVersionRow.evaluator_id == EvaluatorRow.id)
            & (EvaluatorVersionRow.number == EvaluatorRow.version),
        )
        .where(EvaluatorRow.id.in_(evaluator_ids))
    )
    found = (await session.execute(query)).tuples()
    return {row.id: read_evaluator(row, version_id) for row, version_id in found}


async def switch_off(
    session: AsyncSession, evaluator_id: UUID, *, version_id: UUID, reason: StatusReason, detail: str | None
) -> bool:
    """Let an evaluator that does not work switch itself off (P§3.5).

    One that is off already, or that has been changed since, stays as it is.

    Returns:
        Whether it was on.
    """
    current = select(EvaluatorVersionRow.number).where(EvaluatorVersionRow.id == version_id).scalar_subquery()
    switched = await session.execute(
        update(EvaluatorRow)
        .where(EvaluatorRow.id == evaluator_id, EvaluatorRow.enabled, EvaluatorRow.version == current)
        .values(
            enabled=False,
            status=EvaluatorStatus.ERROR.value,
            status_reason=reason.value,
            status_reason_detail=None if detail is None else detail[:MAX_DETAIL_CHARACTERS],
            updated_at=utc_now(),
        )
        .returning(EvaluatorRow.id)
        .execution_options(synchronize_session=False)
    )
    return switched.first() is not None
