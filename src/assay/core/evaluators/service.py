"""Use cases of evaluators."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators import repository
from assay.core.evaluators.types import Evaluator, EvaluatorVersion


async def enabled_evaluators(session: AsyncSession, project_id: UUID) -> Sequence[Evaluator]:
    """The evaluators that judge a project's traffic, oldest first, whoever asks."""
    return await repository.enabled_evaluators(session, project_id)


async def find_versions(session: AsyncSession, version_ids: Sequence[UUID]) -> dict[UUID, EvaluatorVersion]:
    """Versions by their ids, whoever asks; unknown ids are not among them."""
    return await repository.find_versions(session, version_ids)
