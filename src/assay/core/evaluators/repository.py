"""SQL of evaluators."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.models import EvaluatorRow, EvaluatorVersionRow
from assay.core.evaluators.rows import read_evaluator, read_version
from assay.core.evaluators.types import Evaluator, EvaluatorVersion

_CURRENT = and_(EvaluatorVersionRow.evaluator_id == EvaluatorRow.id, EvaluatorVersionRow.number == EvaluatorRow.version)


def _with_version() -> Select[EvaluatorRow, UUID]:
    return select(EvaluatorRow, EvaluatorVersionRow.id).join(EvaluatorVersionRow, _CURRENT)


async def enabled_evaluators(session: AsyncSession, project_id: UUID) -> Sequence[Evaluator]:
    """The evaluators that judge a project's traffic, oldest first, whoever asks."""
    query = _with_version().where(
        EvaluatorRow.project_id == project_id, EvaluatorRow.enabled, EvaluatorRow.deleted_at.is_(None)
    )
    found = await session.execute(query.order_by(EvaluatorRow.created_at, EvaluatorRow.id))
    return [read_evaluator(row, version_id) for row, version_id in found]


async def find_versions(session: AsyncSession, version_ids: Sequence[UUID]) -> dict[UUID, EvaluatorVersion]:
    """Versions by their ids, whoever asks; unknown ids are not among them."""
    rows = await session.scalars(select(EvaluatorVersionRow).where(EvaluatorVersionRow.id.in_(version_ids)))
    return {row.id: read_version(row) for row in rows}
