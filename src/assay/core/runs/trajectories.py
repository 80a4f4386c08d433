"""What an agent did in a trial, step by step (M§2.7): stored as it is sent, apart from the samples.

A trajectory is about a hundred times as large as its sample and nothing ever looks into it, so it is kept as JSON text
that is sent out again without being parsed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.runs.errors import RunInputError, SampleNotFoundError, TrajectoryTooLargeError
from assay.core.runs.models import RunRow, SampleRow, TrajectoryRow
from assay.core.runs.service import get_run_row
from assay.kit.clock import utc_now

MAX_TRAJECTORY_BYTES = 16 * 1024 * 1024
"""Of steps and logs together, as JSON without white space (R21)."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A stored trajectory. ``steps`` (a list) and ``logs`` (a map, or None) are JSON text."""

    run_id: UUID
    task_id: str
    model: str
    sample_index: int
    schema_version: str
    step_count: int
    size_bytes: int
    steps: bytes
    logs: bytes | None


_KEY = [TrajectoryRow.run_id, TrajectoryRow.task_no, TrajectoryRow.model_no, TrajectoryRow.sample_index]


class SamplePlace(NamedTuple):
    """A sample within its run."""

    task_no: int
    model_no: int
    sample_index: int


async def store_trajectory(
    session: AsyncSession,
    principal: Principal,
    *,
    run_id: UUID,
    sample_index: int,
    steps: Sequence[Any],
    schema_version: str,
    logs: Mapping[str, str] | None = None,
    task_id: str | None = None,
    model: str | None = None,
) -> Trajectory:
    """Store a sample's trajectory, or replace it.

    Raises:
        RunNotFoundError: Not the caller's own.
        SampleNotFoundError: No sample has that index, task and model.
        RunInputError: Several do.
        TrajectoryTooLargeError: Steps and logs together exceed 16 MiB.
    """
    row = await get_run_row(session, principal, run_id, lock=True)
    place = await find_place(session, row, sample_index=sample_index, task_id=task_id, model=model)
    size = await put_trajectory(session, run_id, place, steps=steps, schema_version=schema_version, logs=logs)
    return Trajectory(
        run_id=run_id,
        task_id=row.task_order[place.task_no],
        model=row.models[place.model_no],
        sample_index=sample_index,
        schema_version=schema_version,
        step_count=len(steps),
        size_bytes=size,
        steps=_encode(steps),
        logs=None if logs is None else _encode(logs),
    )


async def put_trajectory(
    session: AsyncSession,
    run_id: UUID,
    place: SamplePlace,
    *,
    steps: Sequence[Any],
    schema_version: str,
    logs: Mapping[str, str] | None = None,
) -> int:
    """Store the trajectory of a sample that is known to exist, or replace it.

    Returns:
        Bytes of steps and logs.

    Raises:
        TrajectoryTooLargeError: Steps and logs together exceed 16 MiB.
    """
    steps_json = _encode(steps)
    logs_json = None if logs is None else _encode(logs)
    size = len(steps_json) + (0 if logs_json is None else len(logs_json))
    if size > MAX_TRAJECTORY_BYTES:
        raise TrajectoryTooLargeError(size, MAX_TRAJECTORY_BYTES)
    values = {
        "schema_version": schema_version,
        "step_count": len(steps),
        "size_bytes": size,
        "steps": steps_json,
        "logs": logs_json,
        "updated_at": utc_now(),
    }
    statement = insert(TrajectoryRow).values(run_id=run_id, **place._asdict(), **values)
    await session.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=values))
    return size


async def get_trajectory(
    session: AsyncSession,
    principal: Principal,
    *,
    run_id: UUID,
    sample_index: int,
    task_id: str | None = None,
    model: str | None = None,
) -> Trajectory:
    """A sample's trajectory.

    Raises:
        RunNotFoundError: Not visible to the caller.
        SampleNotFoundError: No sample has that index, task and model, or it has no trajectory.
        RunInputError: Several do.
    """
    run = await get_run_row(session, principal, run_id)
    place = await find_place(session, run, sample_index=sample_index, task_id=task_id, model=model)
    row = await session.get(TrajectoryRow, (run_id, *place))
    if row is None:
        raise SampleNotFoundError("The sample has no trajectory.", param="sample_index")
    return Trajectory(
        run_id=run_id,
        task_id=run.task_order[place.task_no],
        model=run.models[place.model_no],
        sample_index=sample_index,
        schema_version=row.schema_version,
        step_count=row.step_count,
        size_bytes=row.size_bytes,
        steps=row.steps,
        logs=row.logs,
    )


async def find_place(
    session: AsyncSession, run: RunRow, *, sample_index: int, task_id: str | None, model: str | None
) -> SamplePlace:
    """The one sample of a run that has this index, and the task and model if they are given.

    Raises:
        SampleNotFoundError: There is none.
        RunInputError: There are several, so one of task and model is missing.
    """
    query = select(SampleRow.task_no, SampleRow.model_no).where(
        SampleRow.run_id == run.id, SampleRow.sample_index == sample_index
    )
    # An index alone is not the beginning of the key, so it is looked up under each task and model.
    query = query.where(SampleRow.task_no.in_(_ordinals(run.task_order, task_id)))
    query = query.where(SampleRow.model_no.in_(_ordinals(run.models, model)))
    found = (await session.execute(query.limit(2))).all()
    if not found:
        raise SampleNotFoundError("The run has no such sample.", param="sample_index")
    if len(found) > 1:
        raise RunInputError(
            f"Several samples have the index {sample_index}; say which by `task_id` and `model`.",
            param="task_id" if task_id is None else "model",
        )
    return SamplePlace(found[0][0], found[0][1], sample_index)


def _ordinals(names: Sequence[str], name: str | None) -> list[int]:
    return [number for number, known in enumerate(names) if name in {None, known}]


def _encode(value: Any) -> bytes:
    # The standard library's, since integers may have any size.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
