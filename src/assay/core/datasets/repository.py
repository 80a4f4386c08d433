"""SQL of stored datasets and their items."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, String, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.datasets.types import DatasetQuery, DatasetSort
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.db.slices import Counted, Slice, SortKey, ordering, read_slice

Row = TypeVar("Row", DatasetRow, DatasetItemRow)
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
