"""Dataset versions and their datapoints (O§2.4)."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal, Scope
from assay.core.targets import versions
from assay.core.targets.repository import DatasetVersion
from assay.core.targets.types import DatasetOrigin
from assay.db.listing import Comparison
from assay.dialects.edge.access import caller_with
from assay.dialects.overmind.mapping import (
    VERSION_NAMES,
    point_values,
    render_dataset,
    render_dataset_row,
    render_point,
)
from assay.dialects.overmind.query import (
    Filters,
    choice_of,
    integer_of,
    read_query,
    read_slice,
    render_page,
    text_of,
    uuid_of,
)
from assay.dialects.overmind.route import Resource, Session, read_body, read_id
from assay.dialects.overmind.wire.base import Page, parse, sent
from assay.dialects.overmind.wire.datasets import Datapoint, Dataset, DatasetInput, DatasetListRow

FILTERS = Filters(
    parameters={
        "agent": uuid_of("agent"),
        "source": choice_of("source", DatasetOrigin),
        "generator_model": text_of("generator_model"),
        "version": integer_of("version"),
        "version_min": integer_of("version", Comparison.AT_LEAST),
        "version_max": integer_of("version", Comparison.AT_MOST),
    },
    order=("version", "created_at", "name", "source", "num_datapoints"),
)
POINT_FILTERS = Filters()
_READER = caller_with(Scope.DATASET_READ)
_WRITER = caller_with(Scope.DATASET_WRITE)

datasets = Resource(tag="datasets")


async def list_datasets(request: Request, session: Session, principal: Principal = _READER) -> Any:
    """Versions, the highest first unless ordered otherwise."""
    part = read_slice(request)
    found = await versions.list_versions(session, principal, read_query(request, FILTERS), part)
    return render_page(request, part, found.count, [render_dataset_row(row) for row in found.rows])


async def create_dataset(request: Request, session: Session, principal: Principal = _WRITER) -> Dataset:
    """Make the next version of an agent's data."""
    wire = parse(DatasetInput, await read_body(request))
    values = sent(wire, VERSION_NAMES)
    found = await versions.create_version(
        session,
        principal,
        agent_id=wire.agent,
        points=[point_values(point) for point in wire.datapoints],
        values=values,
        activate=wire.make_active,
    )
    return await _render(session, principal, found)


async def get_dataset(row_id: str, session: Session, principal: Principal = _READER) -> Dataset:
    """A version with its datapoints."""
    return await _render(session, principal, await versions.find_version(session, principal, read_id(row_id)))


async def delete_dataset(row_id: str, session: Session, principal: Principal = _WRITER) -> Response:
    """Delete a version."""
    await versions.delete_version(session, principal, read_id(row_id))
    return Response(status_code=204)


async def activate_dataset(row_id: str, session: Session, principal: Principal = _WRITER) -> Dataset:
    """Let the agent's jobs use this version."""
    return await _render(session, principal, await versions.activate_version(session, principal, read_id(row_id)))


async def list_datapoints(row_id: str, request: Request, session: Session, principal: Principal = _READER) -> Any:
    """Datapoints in their order."""
    part = read_slice(request)
    found = await versions.list_points(session, principal, read_id(row_id), part)
    rendered = [render_point(row, number) for number, row in enumerate(found.rows, part.offset)]
    return render_page(request, part, found.count, rendered)


async def _render(session: AsyncSession, principal: Principal, found: DatasetVersion) -> Dataset:
    points = await versions.list_points(session, principal, found.dataset.id)
    return render_dataset(found, points.rows)


datasets.add("GET", "/datasets/", list_datasets, name="datasets_list", gives=Page[DatasetListRow], filters=FILTERS)
datasets.add(
    "POST", "/datasets/", create_dataset, name="datasets_create", status_code=201, body=DatasetInput, gives=Dataset
)
datasets.add("GET", "/datasets/{row_id}/", get_dataset, name="datasets_retrieve", gives=Dataset)
datasets.add("DELETE", "/datasets/{row_id}/", delete_dataset, name="datasets_destroy", status_code=204)
datasets.add("POST", "/datasets/{row_id}/activate/", activate_dataset, name="datasets_activate", gives=Dataset)
datasets.add(
    "GET",
    "/datasets/{row_id}/datapoints/",
    list_datapoints,
    name="datasets_datapoints",
    gives=Page[Datapoint],
    filters=POINT_FILTERS,
)
