"""Datasets and their items (P§2.1, P§2.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets import service
from assay.core.datasets.errors import DatasetNotFoundError, ItemNotFoundError
from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.projects.service import list_users
from assay.core.projects.types import Principal
from assay.dialects.posthog.answers import DatasetAnswer, DatasetItemAnswer, Page
from assay.dialects.posthog.mapping import (
    Authors,
    dataset_renderer,
    dataset_values,
    item_renderer,
    item_values,
)
from assay.dialects.posthog.query import read_dataset_filter, read_dataset_query, read_slice, render_page
from assay.dialects.posthog.route import (
    PAGE_QUERY,
    DatasetReader,
    DatasetWriter,
    ProjectPath,
    Resource,
    Session,
    open_project,
    read_object,
    read_uuid,
)
from assay.dialects.posthog.wire import (
    DatasetInput,
    DatasetItemInput,
    DatasetItemPatch,
    DatasetPatch,
    parse,
)

datasets = Resource(tag="datasets")
items = Resource(tag="dataset_items")


@datasets.route(
    "GET",
    "/datasets",
    query={
        "search": "Part of the name, the description or the metadata.",
        "id__in": "Ids, separated by commas.",
        "order_by": "`created_at` or `updated_at`, each with `-` for descending, separated by commas.",
        **PAGE_QUERY,
    },
    answer=Page[DatasetAnswer],
)
async def list_datasets(
    project_id: ProjectPath, request: Request, principal: DatasetReader, session: Session
) -> dict[str, Any]:
    """Datasets that match, newest first unless ordered otherwise."""
    project = await open_project(session, principal, project_id)
    part = read_slice(request)
    found = await service.list_datasets(session, principal, read_dataset_query(request), part)
    authors = await _authors(session, principal, found.rows)
    return render_page(request, part, found, dataset_renderer(project.number, authors))


@datasets.route("POST", "/datasets", status_code=201, body=DatasetInput, answer=DatasetAnswer)
async def create_dataset(
    project_id: ProjectPath, request: Request, principal: DatasetWriter, session: Session
) -> dict[str, Any]:
    """Make a dataset."""
    project = await open_project(session, principal, project_id)
    wire = parse(DatasetInput, await read_object(request))
    row = await service.create_dataset(session, principal, dataset_values(wire))
    return dataset_renderer(project.number, await _authors(session, principal, [row]))(row)


@datasets.route("GET", "/datasets/{dataset_id}", answer=DatasetAnswer)
async def get_dataset(
    project_id: ProjectPath, dataset_id: str, principal: DatasetReader, session: Session
) -> dict[str, Any]:
    """A dataset."""
    project = await open_project(session, principal, project_id)
    if (found := read_uuid(dataset_id)) is None:
        raise DatasetNotFoundError(dataset_id)
    row = await service.find_dataset(session, principal, found)
    return dataset_renderer(project.number, await _authors(session, principal, [row]))(row)


@datasets.route("PATCH", "/datasets/{dataset_id}", body=DatasetPatch, answer=DatasetAnswer)
async def patch_dataset(
    project_id: ProjectPath, dataset_id: str, request: Request, principal: DatasetWriter, session: Session
) -> dict[str, Any]:
    """Change some fields."""
    return await _change_dataset(project_id, dataset_id, request, principal, session, DatasetPatch)


@datasets.route("PUT", "/datasets/{dataset_id}", body=DatasetInput, answer=DatasetAnswer)
async def put_dataset(
    project_id: ProjectPath, dataset_id: str, request: Request, principal: DatasetWriter, session: Session
) -> dict[str, Any]:
    """Change it, with all that a new one needs."""
    return await _change_dataset(project_id, dataset_id, request, principal, session, DatasetInput)


@datasets.route("DELETE", "/datasets/{dataset_id}", status_code=405)
async def delete_dataset(
    project_id: ProjectPath, dataset_id: str, principal: DatasetWriter, session: Session
) -> Response:
    """Refused: a client sets ``deleted`` instead (P§1.6)."""
    await get_dataset(project_id, dataset_id, principal, session)
    return Response(status_code=405)


@items.route("GET", "/dataset_items", query={"dataset": "Whose items.", **PAGE_QUERY}, answer=Page[DatasetItemAnswer])
async def list_items(
    project_id: ProjectPath, request: Request, principal: DatasetReader, session: Session
) -> dict[str, Any]:
    """Items of one dataset or of all, newest first."""
    project = await open_project(session, principal, project_id)
    part = read_slice(request)
    found = await service.list_items(session, principal, part, dataset_id=read_dataset_filter(request))
    authors = await _authors(session, principal, found.rows)
    return render_page(request, part, found, item_renderer(project.number, authors))


@items.route("POST", "/dataset_items", status_code=201, body=DatasetItemInput, answer=DatasetItemAnswer)
async def create_item(
    project_id: ProjectPath, request: Request, principal: DatasetWriter, session: Session
) -> dict[str, Any]:
    """Make an item."""
    project = await open_project(session, principal, project_id)
    wire = parse(DatasetItemInput, await read_object(request))
    row = await service.create_item(session, principal, item_values(wire))
    return item_renderer(project.number, await _authors(session, principal, [row]))(row)


@items.route("GET", "/dataset_items/{item_id}", answer=DatasetItemAnswer)
async def get_item(project_id: ProjectPath, item_id: str, principal: DatasetReader, session: Session) -> dict[str, Any]:
    """An item."""
    project = await open_project(session, principal, project_id)
    if (found := read_uuid(item_id)) is None:
        raise ItemNotFoundError(item_id)
    row = await service.find_item(session, principal, found)
    return item_renderer(project.number, await _authors(session, principal, [row]))(row)


@items.route("PATCH", "/dataset_items/{item_id}", body=DatasetItemPatch, answer=DatasetItemAnswer)
async def patch_item(
    project_id: ProjectPath, item_id: str, request: Request, principal: DatasetWriter, session: Session
) -> dict[str, Any]:
    """Change some fields."""
    return await _change_item(project_id, item_id, request, principal, session, DatasetItemPatch)


@items.route("PUT", "/dataset_items/{item_id}", body=DatasetItemInput, answer=DatasetItemAnswer)
async def put_item(
    project_id: ProjectPath, item_id: str, request: Request, principal: DatasetWriter, session: Session
) -> dict[str, Any]:
    """Change it, with all that a new one needs."""
    return await _change_item(project_id, item_id, request, principal, session, DatasetItemInput)


@items.route("DELETE", "/dataset_items/{item_id}", status_code=405)
async def delete_item(project_id: ProjectPath, item_id: str, principal: DatasetWriter, session: Session) -> Response:
    """Refused: a client sets ``deleted`` instead (P§1.6)."""
    await get_item(project_id, item_id, principal, session)
    return Response(status_code=405)


async def _change_dataset(
    project_id: str,
    dataset_id: str,
    request: Request,
    principal: Principal,
    session: AsyncSession,
    model: type[DatasetInput],
) -> dict[str, Any]:
    project = await open_project(session, principal, project_id)
    if (found := read_uuid(dataset_id)) is None:
        raise DatasetNotFoundError(dataset_id)
    row = await service.find_dataset(session, principal, found, include_deleted=True, lock=True)
    wire = parse(model, await read_object(request))
    await service.update_dataset(session, row, dataset_values(wire))
    return dataset_renderer(project.number, await _authors(session, principal, [row]))(row)


async def _change_item(
    project_id: str,
    item_id: str,
    request: Request,
    principal: Principal,
    session: AsyncSession,
    model: type[DatasetItemInput],
) -> dict[str, Any]:
    project = await open_project(session, principal, project_id)
    if (found := read_uuid(item_id)) is None:
        raise ItemNotFoundError(item_id)
    row = await service.find_item(session, principal, found, include_deleted=True, lock=True)
    wire = parse(model, await read_object(request))
    await service.update_item(session, principal, row, item_values(wire))
    return item_renderer(project.number, await _authors(session, principal, [row]))(row)


async def _authors(session: AsyncSession, principal: Principal, rows: Iterable[DatasetRow | DatasetItemRow]) -> Authors:
    """Who made the rows; those who have left the organization are not among them."""
    return await list_users(session, principal, (row.created_by for row in rows if row.created_by is not None))
