"""SQL of stored datasets and their items."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, String, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.datasets.types import DatasetQuery, DatasetSort
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.db.slices import Counted, Slice, SortKey, ordering, read_slice

Row = TypeVar("Row", DatasetRow, DatasetItemRow)
_STREAMED_ROWS = 1000
_SORTS = {DatasetSort.CREATED_AT: DatasetRow.created_at, DatasetSort.UPDATED_AT: DatasetRow.updated_at}


async def find_dataset(
    session: AsyncSession,
    principal: Principal,
    dataset_id: UUID,
    *,
    include_deleted: bool = False,
    lock: bool = False,
) -> DatasetRow | None:
    """One dataset of the caller."""
    visible = visible_to(principal, DatasetRow, include_deleted=include_deleted)
    return await _find_one(session, select(DatasetRow).where(DatasetRow.id == dataset_id, visible), lock=lock)


async def find_item(
    session: AsyncSession,
    principal: Principal,
    item_id: UUID,
    *,
    include_deleted: bool = False,
    lock: bool = False,
) -> DatasetItemRow | None:
    """One item of the caller."""
    visible = visible_to(principal, DatasetItemRow, include_deleted=include_deleted)
    return await _find_one(session, select(DatasetItemRow).where(DatasetItemRow.id == item_id, visible), lock=lock)


async def dataset_exists(session: AsyncSession, dataset_id: UUID) -> bool:
    """Whether there is such a dataset, whoever owns it."""
    return await session.scalar(select(DatasetRow.id).where(DatasetRow.id == dataset_id)) is not None


async def known_datasets(session: AsyncSession, principal: Principal, dataset_ids: Collection[UUID]) -> set[UUID]:
    """Ids among these of datasets of the caller."""
    if not dataset_ids:
        return set()
    statement = select(DatasetRow.id).where(DatasetRow.id.in_(dataset_ids), visible_to(principal, DatasetRow))
    return set(await session.scalars(statement))


async def read_examples(
    session: AsyncSession, principal: Principal, dataset_id: UUID, *, limit: int
) -> list[dict[str, Any]]:
    """Items of a dataset as plain rows, oldest first, in one statement and so as of one moment."""
    row = DatasetItemRow
    statement = (
        select(
            row.input,
            row.expected,
            row.details,
            row.source_trace_id,
            row.source_timestamp,
            row.source_event_id,
            row.id,
        )
        .where(row.dataset_id == dataset_id, visible_to(principal, row))
        .order_by(row.created_at, row.id)
        .limit(limit)
    )
    found = await session.stream(statement.execution_options(yield_per=_STREAMED_ROWS))
    return [_example(*values) async for values in found]


def _example(
    given: Any,
    expected: Any,
    details: Any,
    trace_id: str | None,
    timestamp: datetime | None,
    event_id: str | None,
    item_id: UUID,
) -> dict[str, Any]:
    return {
        "input": given,
        "output": expected,
        "metadata": details,
        "ref_trace_id": trace_id,
        "ref_timestamp": None if timestamp is None else timestamp.astimezone(UTC).isoformat(),
        "ref_source_id": event_id,
        "item_id": str(item_id),
    }


async def list_datasets(
    session: AsyncSession, principal: Principal, query: DatasetQuery, part: Slice
) -> Counted[DatasetRow]:
    """The datasets that match."""
    statement = select(DatasetRow).where(visible_to(principal, DatasetRow))
    if query.ids is not None:
        statement = statement.where(DatasetRow.id.in_(query.ids))
    if query.search:
        searched = (DatasetRow.name, DatasetRow.description, cast(DatasetRow.details, String))
        statement = statement.where(or_(*(column.icontains(query.search, autoescape=True) for column in searched)))
    order = query.order or (SortKey(DatasetSort.CREATED_AT, descending=True),)
    keys = (ordering(_SORTS[DatasetSort(key.column)], key) for key in order)
    return await read_slice(session, statement.order_by(*keys, DatasetRow.id), part)


async def list_items(
    session: AsyncSession, principal: Principal, part: Slice, *, dataset_id: UUID | None
) -> Counted[DatasetItemRow]:
    """Items, newest first."""
    statement = select(DatasetItemRow).where(visible_to(principal, DatasetItemRow))
    if dataset_id is not None:
        statement = statement.where(DatasetItemRow.dataset_id == dataset_id)
    statement = statement.order_by(DatasetItemRow.created_at.desc(), DatasetItemRow.id)
    return await read_slice(session, statement, part)


async def _find_one(session: AsyncSession, statement: Select[Row], *, lock: bool) -> Row | None:
    if lock:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()
