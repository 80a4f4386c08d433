"""This dialect's route class, and how its paths are registered (O§1.1, O§1.2).

Every path ends in a slash. Without it a GET is sent on, and anything else is not found: a client that follows a
redirect would lose its body (O§6.19).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.routing import Route

from assay.core.accounts import tokens
from assay.core.projects.errors import InvalidCredentialsError
from assay.core.projects.types import Principal, Scope
from assay.dialects.edge.access import caller_with
from assay.dialects.edge.bodies import MAX_JSON_DEPTH, bounded, check_length, check_query, parse_json
from assay.dialects.edge.route import EdgeRoute
from assay.dialects.edge.state import ApiState, session_of, state_of
from assay.dialects.overmind.errors import (
    NO_FIELD,
    FieldErrors,
    MediaTypeError,
    describe_invalid,
    render_error,
    render_status,
)
from assay.dialects.overmind.query import Filters, describe
from assay.kit.errors import DomainError, NotFoundError, UnauthenticatedError
from assay.kit.storable import find_unstorable, render_path

PREFIX = "/api"
MAX_BODY_BYTES = 16 * 1024 * 1024
"""Reports and programs of a mebibyte each, several in one job (O§5.5)."""
MAX_OPEN_BODY_BYTES = 64 * 1024
"""Of somebody whom nobody knows yet."""

_BEARER = HTTPBearer(auto_error=False, description="An API key, or the access token of a user.")
_API_KEY = APIKeyHeader(name="X-Api-Key", auto_error=False, description="An API key.")

Session = Annotated[AsyncSession, Depends(session_of)]
JobReader = Annotated[Principal, caller_with(Scope.JOB_READ)]
JobWriter = Annotated[Principal, caller_with(Scope.JOB_WRITE)]
Handler = Callable[..., Coroutine[Any, Any, Any]]


class PathNotFoundError(NotFoundError):
    """What a path names is not there."""

    code = "not_found"

    def __init__(self) -> None:
        super().__init__("Not found.")


def key_of(request: Request) -> str:
    """The key or token of a request; ``X-Api-Key`` wins.

    Raises:
        UnauthenticatedError: There is none.
    """
    if (key := request.headers.get("x-api-key", "").strip()) != "":
        return key
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "api-key") or not token.strip():
        raise UnauthenticatedError("Authentication credentials were not provided.")
    return token.strip()


class OvermindRoute(EdgeRoute):
    """Keys in two headers, faults by field, and bodies as large as programs."""

    async def identify_caller(self, request: Request, session: AsyncSession) -> Principal:
        """The principal of the key, or of the access token if no key reads so."""
        state, credential = state_of(request), key_of(request)
        try:
            return await state.authenticator.authenticate(session, credential)
        except InvalidCredentialsError:
            if credential.count(".") != 2:
                raise
        return await tokens.authenticate(session, state.accounts.signer, credential, project_id=_project_of(request))

    def render_error(self, error: DomainError) -> Response:
        """The dialect's form."""
        return render_error(error)

    def describe_invalid(self, error: RequestValidationError) -> DomainError:
        """A 400 by field."""
        return describe_invalid(error)

    def max_body_bytes(self, state: ApiState) -> int:
        """Longest body that is read."""
        return MAX_BODY_BYTES

    def check_body(self, body: bytes) -> None:
        """Refuse what cannot be stored, by field.

        Raises:
            BodyError: It is no JSON.
            FieldErrors: A field holds NaN, a NUL character, or an integer beyond 64 bits.
        """
        faults: dict[str, list[str]] = {}
        for path, reason in find_unstorable(_parse_leniently(body), max_depth=MAX_JSON_DEPTH):
            name = path[0] if path and isinstance(path[0], str) else NO_FIELD
            faults.setdefault(name if name.isprintable() else NO_FIELD, []).append(f"{render_path(path)}: {reason}.")
        if faults:
            raise FieldErrors(faults)


class OpenRoute(OvermindRoute):
    """Signing in: nobody is known yet. Handlers open their own transactions, for a wrong password is counted."""

    async def identify_caller(self, request: Request, session: AsyncSession) -> Principal:
        """Never called."""
        raise AssertionError("an open route asked who calls")

    async def _handle(self, request: Request, inner: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
        check_query(request)
        check_length(request, MAX_OPEN_BODY_BYTES)
        request = Request(request.scope, bounded(request.receive, MAX_OPEN_BODY_BYTES))
        if body := await request.body():
            self.check_body(body)
        return await inner(request)


def _project_of(request: Request) -> UUID | None:
    given = request.headers.get("x-project-id")
    if given is None:
        return None
    try:
        return UUID(given)
    except ValueError:
        raise FieldErrors.of("X-Project-Id", "Must be a valid UUID.") from None


def _parse_leniently(body: bytes) -> Any:
    """The value of a body that may hold NaN and Infinity, which other parsers call malformed."""
    try:
        orjson.loads(body)
    except ValueError:
        if not any(word in body for word in (b"NaN", b"Infinity")):
            return parse_json(body)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return parse_json(body)
    return parse_json(body)


async def read_body(request: Request) -> Any:
    """The body; an empty one is an empty object.

    Raises:
        MediaTypeError: It is not called JSON.
        BodyError: It is none.
    """
    content = await request.body()
    if not content:
        return {}
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media != "application/json":
        raise MediaTypeError(media)
    return parse_json(content)


def read_id(text: str) -> UUID:
    """The id that a path segment names.

    Raises:
        PathNotFoundError: It is no UUID, and so names nothing.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise PathNotFoundError from error


class Resource:
    """A router whose paths end in a slash."""

    def __init__(self, *, tag: str, is_open: bool = False) -> None:
        known = [Security(_BEARER), Security(_API_KEY)]
        self.router = (
            APIRouter(tags=[tag], route_class=OpenRoute)
            if is_open
            else APIRouter(tags=[tag], route_class=OvermindRoute, dependencies=known)
        )
        self.inputs: set[type[BaseModel]] = set()
        self._paths: set[str] = set()

    def add(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        name: str,
        status_code: int = 200,
        body: type[BaseModel] | None = None,
        gives: Any = None,
        filters: Filters | None = None,
    ) -> None:
        """Register a handler.

        Args:
            method: The verb.
            path: After ``/api``, with its slash.
            handler: What answers.
            name: Of the operation, for generated clients.
            status_code: Of a success.
            body: What the handler parses the body as.
            gives: Type of the answer.
            filters: Of a list.
        """
        extra: dict[str, Any] = {"parameters": found} if (found := describe(filters)) else {}
        if body is not None:
            self.inputs.add(body)
            schema = {"$ref": f"#/components/schemas/{body.__name__}"}
            extra["requestBody"] = {"content": {"application/json": {"schema": schema}}, "required": True}
        self.router.add_api_route(
            f"{PREFIX}{path}",
            handler,
            methods=[method],
            name=name,
            status_code=status_code,
            response_model=gives,
            response_class=Response if status_code == 204 else JSONResponse,
            openapi_extra=extra,
        )
        self._add_slashless(f"{PREFIX}{path}".rstrip("/"))

    def _add_slashless(self, path: str) -> None:
        if path not in self._paths:
            self._paths.add(path)
            self.router.routes.append(_slashless_route(path))


def _slashless_route(path: str) -> Route:
    async def redirect(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return render_status(404)
        return RedirectResponse(request.url.replace(path=f"{request.url.path}/"), status_code=301)

    return Route(path, redirect, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
