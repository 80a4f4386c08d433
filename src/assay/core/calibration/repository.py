"""SQL of labels and calibrations."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.calibration.models import CalibrationRow, LabelRow
from assay.core.calibration.types import Calibration, Label, LabelFilter, LabelsBySubject, NewLabel, SubjectKind
from assay.core.ownership import owner_columns, visible_to
from assay.core.projects.types import Principal
from assay.db.paging import Page
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

_WRITE_BATCH = 500
_IDENTITY = ("project_id", "subject_kind", "subject_id", "metric", "labeler")


async def put_labels(session: AsyncSession, principal: Principal, labels: Sequence[NewLabel]) -> int:
    """Write labels; a person's later one replaces the earlier, also one that was deleted.

    Returns:
        How many are new.
    """
    now = utc_now()
    rows = [
        {
            "id": new_id(),
            **owner_columns(principal),
            "subject_kind": label.kind.value,
            "subject_id": label.subject_id,
            "metric": label.metric,
            "value": label.value,
            "labeler": label.labeler,
            "note": label.note,
            "created_at": now,
            "updated_at": now,
        }
        for label in labels
    ]
    # In the order of the key, so that two writers of the same labels wait for each other and never deadlock.
    rows.sort(key=lambda row: tuple(str(row[name]) for name in _IDENTITY))
    statement = insert(LabelRow)
    replaced = {name: statement.excluded[name] for name in ("value", "note", "updated_at")}
    new = 0
    for start in range(0, len(rows), _WRITE_BATCH):
        batch = insert(LabelRow).values(rows[start : start + _WRITE_BATCH])
        written = batch.on_conflict_do_update(index_elements=_IDENTITY, set_={**replaced, "deleted_at": None})
        # PostgreSQL's own mark: a row that was there before has been locked by this transaction.
        new += sum((await session.scalars(written.returning(literal_column("xmax = 0", Boolean)))).all())
    return new


async def list_labels(
    session: AsyncSession, principal: Principal, wanted: LabelFilter, *, after: UUID | None, limit: int
) -> Page[Label]:
    """Labels, newest first."""
    conditions: list[ColumnElement[bool]] = [visible_to(principal, LabelRow)]
    if wanted.kind is not None:
        conditions.append(LabelRow.subject_kind == wanted.kind.value)
    if wanted.subject_id is not None:
        conditions.append(LabelRow.subject_id == wanted.subject_id)
    if wanted.metric is not None:
        conditions.append(LabelRow.metric == wanted.metric)
    if wanted.labeler is not None:
        conditions.append(LabelRow.labeler == wanted.labeler)
    if after is not None:
        conditions.append(LabelRow.id < after)
    query = select(LabelRow).where(*conditions).order_by(LabelRow.id.desc()).limit(limit + 1)
    rows = (await session.scalars(query)).all()
    return Page(items=tuple(map(_to_label, rows[:limit])), has_more=len(rows) > limit)


async def find_label(session: AsyncSession, principal: Principal, label_id: UUID) -> LabelRow | None:
    """A label's row, locked."""
    query = select(LabelRow).where(LabelRow.id == label_id, visible_to(principal, LabelRow)).with_for_update()
    return (await session.scalars(query)).one_or_none()


async def labels_of(
    session: AsyncSession, principal: Principal, kind: SubjectKind, *, metric: str, limit: int
) -> LabelsBySubject:
    """The project's labels of a metric, of at most so many subjects of a kind."""
    query = (
        select(LabelRow.subject_id, func.array_agg(LabelRow.value))
        .where(
            visible_to(principal, LabelRow),
            LabelRow.metric == metric,
            LabelRow.subject_kind == kind.value,
        )
        .group_by(LabelRow.subject_id)
        .order_by(LabelRow.subject_id)
        .limit(limit)
    )
    return {row[0]: row[1] for row in await session.execute(query)}


async def find_calibration(session: AsyncSession, principal: Principal, calibration_id: UUID) -> CalibrationRow | None:
    """A calibration's row."""
    query = select(CalibrationRow).where(CalibrationRow.id == calibration_id, visible_to(principal, CalibrationRow))
    return (await session.scalars(query)).one_or_none()


async def list_calibrations(
    session: AsyncSession,
    principal: Principal,
    *,
    judge_version: str | None = None,
    metric: str | None = None,
    after: UUID | None = None,
    limit: int,
) -> Page[Calibration]:
    """Calibrations, newest first."""
    conditions: list[ColumnElement[bool]] = [visible_to(principal, CalibrationRow)]
    if judge_version is not None:
        conditions.append(CalibrationRow.judge_version == judge_version)
    if metric is not None:
        conditions.append(CalibrationRow.metric == metric)
    if after is not None:
        conditions.append(CalibrationRow.id < after)
    query = select(CalibrationRow).where(*conditions).order_by(CalibrationRow.id.desc()).limit(limit + 1)
    rows = (await session.scalars(query)).all()
    return Page(items=tuple(map(to_calibration, rows[:limit])), has_more=len(rows) > limit)


def to_calibration(row: CalibrationRow) -> Calibration:
    """A calibration."""
    return Calibration(
        id=row.id,
        judge_version=row.judge_version,
        metric=row.metric,
        threshold=row.threshold,
        items=row.items,
        report=row.report,
        created_at=row.created_at,
    )


def _to_label(row: LabelRow) -> Label:
    return Label(
        id=row.id,
        kind=SubjectKind(row.subject_kind),
        subject_id=row.subject_id,
        metric=row.metric,
        value=row.value,
        labeler=row.labeler,
        note=row.note,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
