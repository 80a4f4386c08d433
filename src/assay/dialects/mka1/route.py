"""This dialect's route class and the dependencies of its routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal, Scope
from assay.dialects.edge.access import bearer_token, caller_with
from assay.dialects.edge.route import EdgeRoute
from assay.dialects.edge.state import ApiState, session_of, state_of
from assay.dialects.mka1.errors import describe_invalid, render_error
from assay.dialects.mka1.wire.errors import WireError
from assay.kit.errors import DomainError

MAX_LARGE_BODY_BYTES = 20 * 1024 * 1024

_BEARER = HTTPBearer(auto_error=False, description="An API key (`mk-…`).")

Session = Annotated[AsyncSession, Depends(session_of)]
State = Annotated[ApiState, Depends(state_of)]


class Mka1Route(EdgeRoute):
    """Bearer keys, ``X-On-Behalf-Of``, and the one error envelope."""

    async def identify_caller(self, request: Request, session: AsyncSession) -> Principal:
        """The key's principal, narrowed to the end user the header names (M§1.3, R36)."""
        token = bearer_token(request, advice="Send the API key as `Authorization: Bearer <key>`.")
        principal = await state_of(request).authenticator.authenticate(session, token)
        on_behalf_of = request.headers.get("x-on-behalf-of")
        return principal if on_behalf_of is None else principal.delegate(on_behalf_of)

    def render_error(self, error: DomainError) -> Response:
        """The dialect's envelope."""
        return render_error(error)

    def describe_invalid(self, error: RequestValidationError) -> DomainError:
        """A 400 that names the fields."""
        return describe_invalid(error)


class LargeBodyRoute(Mka1Route):
    """Trials and trajectories are larger than other JSON (R42)."""

    def max_body_bytes(self, state: ApiState) -> int:
        """20 MiB."""
        return MAX_LARGE_BODY_BYTES


def mka1_router(prefix: str, *, tag: str, route_class: type[Mka1Route] = Mka1Route) -> APIRouter:
    """A router of this dialect: its route class, and what the OpenAPI document says of every route."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=route_class,
        # Shows the bearer scheme; the check itself is in ``Mka1Route``.
        dependencies=[Security(_BEARER)],
        responses={"default": {"model": WireError, "description": "An error."}},
    )


EvalsReader = Annotated[Principal, caller_with(Scope.EVALS_READ)]
EvalsWriter = Annotated[Principal, caller_with(Scope.EVALS_WRITE)]
AgentsReader = Annotated[Principal, caller_with(Scope.AGENTS_READ)]
AgentsWriter = Annotated[Principal, caller_with(Scope.AGENTS_WRITE)]
FilesReader = Annotated[Principal, caller_with(Scope.FILES_READ)]
FilesWriter = Annotated[Principal, caller_with(Scope.FILES_WRITE)]
ResponsesReader = Annotated[Principal, caller_with(Scope.RESPONSES_READ)]
ResponsesWriter = Annotated[Principal, caller_with(Scope.RESPONSES_WRITE)]
