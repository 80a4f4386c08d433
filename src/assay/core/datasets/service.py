"""Use cases of stored datasets and their items.

A deleted dataset or item leaves lists and reads, and can still be found to be changed: that is how it comes back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets import repository
from assay.core.datasets.errors import (
    DatasetNotFoundError,
    EmptyDatasetError,
    ItemNotFoundError,
    UnknownDatasetError,
)
from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.datasets.types import DatasetQuery
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.db.slices import Counted, Slice
from assay.kit.clock import utc_now

DATASET_FIELDS = frozenset({"name", "description", "details"})
ITEM_FIELDS = frozenset(
    {"dataset_id", "input", "expected", "details", "source_trace_id", "source_timestamp", "source_event_id"}
)


async def create_dataset(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> DatasetRow:
    """Make a dataset.

    Args:
        session: A session inside a transaction.
        principal: Whose it will be.
        values: Some of ``DATASET_FIELDS``, with ``name``; ``deleted`` as in ``update_dataset``.
    """
    row = DatasetRow(**owner_columns(principal))
    _apply(row, values, fields=DATASET_FIELDS)
    session.add(row)
    await session.flush()
    return row


async def update_dataset(session: AsyncSession, row: DatasetRow, values: Mapping[str, Any]) -> None:
    """Change the fields that ``values`` names; ``deleted`` deletes or brings back.

    Args:
        session: A session inside a transaction.
        row: From ``find_dataset``, locked.
        values: Some of ``DATASET_FIELDS`` and ``deleted``.
    """
    _apply(row, values, fields=DATASET_FIELDS)
    await session.flush()


async def find_dataset(
    session: AsyncSession,
    principal: Principal,
    dataset_id: UUID,
    *,
    include_deleted: bool = False,
    lock: bool = False,
) -> DatasetRow:
    """A dataset by its id.

    Raises:
        DatasetNotFoundError: The caller has no such dataset, or it is deleted.
    """
    row = await repository.find_dataset(session, principal, dataset_id, include_deleted=include_deleted, lock=lock)
    if row is None:
        raise DatasetNotFoundError(dataset_id)
    return row


async def known_datasets(session: AsyncSession, principal: Principal, dataset_ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that name datasets of the caller which are not deleted."""
    return await repository.known_datasets(session, principal, dataset_ids)


async def read_examples(
    session: AsyncSession, principal: Principal, dataset_id: UUID, *, limit: int
) -> list[dict[str, Any]]:
    """A dataset's items as rows of a task, oldest first, all as of one moment.

    Columns: ``input``, ``output``, ``metadata``, ``ref_trace_id``, ``ref_timestamp`` (ISO 8601), ``ref_source_id`` and
    ``item_id``; what an item does not have is null.

    Args:
        session: Where to read.
        principal: The caller.
        dataset_id: Of the dataset.
        limit: Most rows.

    Raises:
        DatasetNotFoundError: The caller has no such dataset, or it is deleted.
        EmptyDatasetError: It has no items.
    """
    await find_dataset(session, principal, dataset_id)
    rows = await repository.read_examples(session, principal, dataset_id, limit=limit)
    if not rows:
        raise EmptyDatasetError("the dataset has no items; add at least one")
    return rows


async def list_datasets(
    session: AsyncSession, principal: Principal, query: DatasetQuery, part: Slice
) -> Counted[DatasetRow]:
    """The caller's datasets that match, without deleted ones; rows equal in the order come by id."""
    return await repository.list_datasets(session, principal, query, part)


async def create_item(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> DatasetItemRow:
    """Make an item.

    Args:
        session: A session inside a transaction.
        principal: Whose it will be.
        values: Some of ``ITEM_FIELDS``, with ``dataset_id``; ``deleted`` as in ``update_item``.

    Raises:
        UnknownDatasetError: The caller has no such dataset.
    """
    await _check_dataset(session, principal, values)
    row = DatasetItemRow(**owner_columns(principal))
    _apply(row, values, fields=ITEM_FIELDS)
    session.add(row)
    await session.flush()
    return row


async def update_item(
    session: AsyncSession, principal: Principal, row: DatasetItemRow, values: Mapping[str, Any]
) -> None:
    """Change the fields that ``values`` names; ``deleted`` deletes or brings back.

    Args:
        session: A session inside a transaction.
        principal: The caller.
        row: From ``find_item``, locked.
        values: Some of ``ITEM_FIELDS`` and ``deleted``.

    Raises:
        UnknownDatasetError: The caller has no dataset to move it to.
    """
    await _check_dataset(session, principal, values)
    _apply(row, values, fields=ITEM_FIELDS)
    await session.flush()


async def find_item(
    session: AsyncSession,
    principal: Principal,
    item_id: UUID,
    *,
    include_deleted: bool = False,
    lock: bool = False,
) -> DatasetItemRow:
    """An item by its id.

    Raises:
        ItemNotFoundError: The caller has no such item, or it is deleted.
    """
    row = await repository.find_item(session, principal, item_id, include_deleted=include_deleted, lock=lock)
    if row is None:
        raise ItemNotFoundError(item_id)
    return row


async def list_items(
    session: AsyncSession, principal: Principal, part: Slice, *, dataset_id: UUID | None
) -> Counted[DatasetItemRow]:
    """The caller's items, newest first, of one dataset or of all; without deleted ones.

    Raises:
        UnknownDatasetError: There is no such dataset. One of somebody else has no items, as far as the caller sees.
    """
    if dataset_id is not None and not await repository.dataset_exists(session, dataset_id):
        raise UnknownDatasetError(dataset_id)
    return await repository.list_items(session, principal, part, dataset_id=dataset_id)


async def _check_dataset(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> None:
    dataset_id = values.get("dataset_id")
    if dataset_id is None:
        return
    if await repository.find_dataset(session, principal, dataset_id, include_deleted=True) is None:
        raise UnknownDatasetError(dataset_id)


def _apply(row: DatasetRow | DatasetItemRow, values: Mapping[str, Any], *, fields: frozenset[str]) -> None:
    now = utc_now()
    for name in fields & values.keys():
        setattr(row, name, values[name])
    if "deleted" in values and bool(values["deleted"]) != (row.deleted_at is not None):
        row.deleted_at = now if values["deleted"] else None
    row.updated_at = now
