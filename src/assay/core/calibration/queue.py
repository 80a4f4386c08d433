"""What a person is to label next, and how far people agree."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.calibration import repository
from assay.core.calibration.service import MAX_LABELLED
from assay.core.calibration.types import SubjectKind
from assay.core.projects.types import Principal
from assay.core.runs.judgements import task_of_run
from assay.scoring.agreement import krippendorff_alpha


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far people agree about a metric."""

    metric: str
    subjects: int
    """With a label."""
    shared: int
    """With labels of two people or more."""
    labels: int
    alpha: float | None
    """Krippendorff's, of pass and fail; None with too little to say."""


async def next_unlabelled(
    session: AsyncSession, principal: Principal, *, run_id: UUID, task_id: str | None, metric: str, labeler: str
) -> UUID | None:
    """A completed sample of a run that a person has not labelled yet, chosen by chance; None when none is left.

    Chance chooses the model and where to begin, so that whoever stops early has labelled a fair part.

    Raises:
        RunNotFoundError: The run is not visible to the caller.
        RunInputError: The task is missing or unknown.
    """
    place = await task_of_run(session, principal, run_id=run_id, task_id=task_id)
    if place.rows == 0:
        return None
    begin = secrets.randbelow(place.rows)
    first = secrets.randbelow(place.models)
    values = {
        "run_id": run_id,
        "task_no": place.task_no,
        "project_id": principal.project_id,
        "metric": metric,
        "labeler": labeler,
    }
    for turn in range(place.models):
        model_no = (first + turn) % place.models
        for low, high in ((begin, place.rows), (0, begin)):
            found = await session.scalar(_NEXT, {**values, "model_no": model_no, "low": low, "high": high})
            if found is not None:
                return UUID(int=found.int)
    return None


async def measure_agreement(session: AsyncSession, principal: Principal, *, metric: str, threshold: float) -> Agreement:
    """How far the labels of samples agree, over at most ``MAX_LABELLED`` of them."""
    labels = await repository.labels_of(session, principal, SubjectKind.SAMPLE, metric=metric, limit=MAX_LABELLED)
    units = [[value >= threshold for value in values] for values in labels.values()]
    shared = [unit for unit in units if len(unit) > 1]
    return Agreement(
        metric=metric,
        subjects=len(units),
        shared=len(shared),
        labels=sum(len(unit) for unit in units),
        alpha=krippendorff_alpha(shared) if shared else None,
    )


_NEXT = text("""
    SELECT s.id FROM run_samples s
    WHERE s.run_id = :run_id AND s.task_no = :task_no AND s.model_no = :model_no
      AND s.sample_index >= :low AND s.sample_index < :high AND s.repeat_no = 0 AND s.status = 'completed'
      AND NOT EXISTS (
          SELECT 1 FROM labels l
          WHERE l.project_id = :project_id AND l.subject_kind = 'sample' AND l.subject_id = s.id
            AND l.metric = :metric AND l.labeler = :labeler AND l.deleted_at IS NULL
      )
    ORDER BY s.sample_index LIMIT 1
""")
