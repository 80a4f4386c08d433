"""The six routes that most resources of this API have: list, create, read, change, replace, delete (O§1.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.db.listing import ListQuery
from assay.db.slices import Counted, Slice
from assay.dialects.edge.state import principal_of
from assay.dialects.overmind.query import Filters, read_query, read_slice, render_page
from assay.dialects.overmind.route import JobReader, JobWriter, Resource, Session, read_body, read_id
from assay.dialects.overmind.wire.base import Page, parse

Row = TypeVar("Row")
Values = dict[str, Any]


class Lister(Protocol[Row]):
    """A use case that lists."""

    def __call__(
        self, session: AsyncSession, principal: Principal, query: ListQuery, part: Slice, /
    ) -> Awaitable[Counted[Row]]:
        """Some rows of the caller."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """What goes over the wire."""

    input: type[BaseModel]
    patch: type[BaseModel]
    row: type[BaseModel]
    """In lists."""
    detail: type[BaseModel]


@dataclass(frozen=True, slots=True)
class UseCases(Generic[Row]):
    """What the core can do."""

    create: Callable[[AsyncSession, Principal, Values], Awaitable[Row]]
    find: Callable[[AsyncSession, Principal, UUID], Awaitable[Row]]
    update: Callable[[AsyncSession, Principal, UUID, Values], Awaitable[Row]]
    delete: Callable[[AsyncSession, Principal, UUID], Awaitable[None]]
    list: Lister[Row]


@dataclass(frozen=True, slots=True)
class Collection(Generic[Row]):
    """A resource with the usual six routes."""

    path: str
    """After ``/api``, without a slash at its end."""
    name: str
    models: Models
    cases: UseCases[Row]
    filters: Filters
    values: Callable[[AsyncSession, Principal, Any], Awaitable[Values]]
    """What was sent, in the core's words."""
    render_rows: Callable[[AsyncSession, Principal, Sequence[Row]], Awaitable[Sequence[BaseModel]]]
    render: Callable[[AsyncSession, Principal, Row], Awaitable[BaseModel]]

    def publish(self, resource: Resource) -> None:
        """Register the routes."""
        self._publish_list(resource)
        self._publish_detail(resource)

    def _publish_list(self, resource: Resource) -> None:
        async def list_rows(request: Request, session: Session, principal: JobReader) -> Any:
            part = read_slice(request)
            found = await self.cases.list(session, principal, read_query(request, self.filters), part)
            rendered = await self.render_rows(session, principal, found.rows)
            return render_page(request, part, found.count, rendered)

        async def create(request: Request, session: Session, principal: JobWriter) -> Any:
            wire = parse(self.models.input, await read_body(request))
            row = await self.cases.create(session, principal, await self.values(session, principal, wire))
            return await self.render(session, principal, row)

        path, detail = f"{self.path}/", self.models.detail
        page = Page[self.models.row]  # type: ignore[name-defined] - a model made at run time
        resource.add("GET", path, list_rows, name=f"{self.name}_list", gives=page, filters=self.filters)
        resource.add(
            "POST", path, create, name=f"{self.name}_create", status_code=201, body=self.models.input, gives=detail
        )

    def _publish_detail(self, resource: Resource) -> None:
        async def retrieve(row_id: str, session: Session, principal: JobReader) -> Any:
            row = await self.cases.find(session, principal, read_id(row_id))
            return await self.render(session, principal, row)

        async def patch(row_id: str, request: Request, session: Session, principal: JobWriter) -> Any:
            return await self._change(row_id, request, session, self.models.patch)

        async def put(row_id: str, request: Request, session: Session, principal: JobWriter) -> Any:
            return await self._change(row_id, request, session, self.models.input)

        async def delete(row_id: str, session: Session, principal: JobWriter) -> Response:
            await self.cases.delete(session, principal, read_id(row_id))
            return Response(status_code=204)

        path, name, models = f"{self.path}/{{row_id}}/", self.name, self.models
        resource.add("GET", path, retrieve, name=f"{name}_retrieve", gives=models.detail)
        resource.add("PATCH", path, patch, name=f"{name}_partial_update", body=models.patch, gives=models.detail)
        resource.add("PUT", path, put, name=f"{name}_update", body=models.input, gives=models.detail)
        resource.add("DELETE", path, delete, name=f"{name}_destroy", status_code=204)

    async def _change(self, row_id: str, request: Request, session: AsyncSession, model: type[BaseModel]) -> BaseModel:
        principal = principal_of(request)
        found = read_id(row_id)
        # Who may not see the object must not learn whether the body was right.
        await self.cases.find(session, principal, found)
        wire = parse(model, await read_body(request))
        values = await self.values(session, principal, wire)
        # The row was read without a lock just now; what is written must rest on how it is under the lock.
        session.expire_all()
        return await self.render(session, principal, await self.cases.update(session, principal, found, values))
