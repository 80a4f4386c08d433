"""Judges' numbers of samples, for whoever compares them with people's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import any_, bindparam, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.runs.errors import RunInputError
from assay.core.runs.models import ItemRow, RunRow, SampleRow
from assay.core.runs.service import get_run_row


@dataclass(frozen=True, slots=True)
class JudgedTask:
    """A judge's numbers for one model's answers to one task: of the first repeat, since repeats are not independent."""

    task_id: str
    model: str
    versions: Sequence[str]
    """Of the judges that gave them; one, unless the judge was changed between a run and its rerun."""
    values: dict[UUID, float]


async def visible_samples(session: AsyncSession, principal: Principal, sample_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the samples that belong to runs which the caller may see."""
    query = (
        select(SampleRow.id)
        .join(RunRow, RunRow.id == SampleRow.run_id)
        # One parameter: a statement may have 32,767 of them, and there may be more samples.
        .where(SampleRow.id == any_(literal(list(sample_ids), ARRAY(Uuid))), visible_to(principal, RunRow))
    )
    return set((await session.scalars(query)).all())


async def numbers_of_judge(
    session: AsyncSession, principal: Principal, *, judge_version: str, metric: str, sample_ids: Iterable[UUID]
) -> dict[UUID, float]:
    """The numbers that one version of a judge gave, by sample, of the samples that the caller may see."""
    wanted = list(await visible_samples(session, principal, sample_ids))
    values = {"ids": wanted, "version": judge_version, "metric": metric}
    found = await session.execute(_NUMBERS, values)
    return {row.id: row.value for row in found}


_NUMBERS = text("""
    SELECT id, CAST(scores->>CAST(:metric AS text) AS double precision) AS value FROM run_samples
    WHERE id = ANY (:ids) AND status = 'completed' AND judge->>'judge_version' = :version
      AND jsonb_typeof(scores->CAST(:metric AS text)) = 'number'
""").bindparams(bindparam("ids", type_=ARRAY(Uuid())))


async def judged_task(
    session: AsyncSession, principal: Principal, *, run_id: UUID, task_id: str | None, model: str | None, metric: str
) -> JudgedTask:
    """A judge's numbers for a run's task and model, which may be left out when there is one.

    Raises:
        RunNotFoundError: Not visible to the caller.
        RunInputError: Task or model is missing or unknown.
    """
    row = await get_run_row(session, principal, run_id)
    task_no = _place(row.task_order, task_id, param="task_id")
    model_no = _place(row.models, model, param="model")
    values = {"run_id": run_id, "task_no": task_no, "model_no": model_no, "metric": metric}
    found = (await session.execute(_JUDGED, values)).all()
    return JudgedTask(
        row.task_order[task_no],
        row.models[model_no],
        sorted({one.version for one in found}),
        {one.id: one.value for one in found},
    )


class TaskPlace(NamedTuple):
    """A task within its run, and how large it is."""

    task_no: int
    models: int
    rows: int


async def task_of_run(session: AsyncSession, principal: Principal, *, run_id: UUID, task_id: str | None) -> TaskPlace:
    """Where a task of a run is; it may be left out when there is one.

    Raises:
        RunNotFoundError: Not visible to the caller.
        RunInputError: The task is missing or unknown.
    """
    row = await get_run_row(session, principal, run_id)
    task_no = _place(row.task_order, task_id, param="task_id")
    last = select(func.max(ItemRow.sample_index)).where(ItemRow.run_id == run_id, ItemRow.task_no == task_no)
    found = await session.scalar(last)
    return TaskPlace(task_no, len(row.models), 0 if found is None else found + 1)


def _place(names: Sequence[str], name: str | None, *, param: str) -> int:
    if name is None and len(names) > 1:
        raise RunInputError(f"The run has several; name one by `{param}`: {', '.join(names)}.", param=param)
    if name is not None and name not in names:
        raise RunInputError(f"`{param}` is {name[:100]!r}; the run has {', '.join(names)}.", param=param)
    return 0 if name is None else names.index(name)


_JUDGED = text("""
    SELECT id, judge->>'judge_version' AS version, CAST(scores->>CAST(:metric AS text) AS double precision) AS value
    FROM run_samples
    WHERE run_id = :run_id AND task_no = :task_no AND model_no = :model_no AND repeat_no = 0 AND status = 'completed'
      AND judge->>'judge_version' IS NOT NULL AND jsonb_typeof(scores->CAST(:metric AS text)) = 'number'
""")
