"""This dialect's route class, its paths, and the dependencies of its routes (P§1.1, P§1.2).

Every resource has two prefixes, and every path may end in a slash. The order of refusals is the contract's (P§1.3):
credentials, scope, project, object, body. So routes parse the body themselves, after the object is found.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import HTTPException

from assay.core.projects.errors import ProjectNotFoundError
from assay.core.projects.service import get_project
from assay.core.projects.types import Principal, Project, Scope
from assay.core.requests.service import RequestIdentity
from assay.dialects.edge.access import caller_with
from assay.dialects.edge.bodies import BodyError, check_json, parse_json
from assay.dialects.edge.route import EdgeRoute
from assay.dialects.edge.route import Handler as RequestHandler
from assay.dialects.edge.state import session_of, state_of
from assay.dialects.posthog.credentials import find_key, with_key_of_body
from assay.dialects.posthog.errors import describe_invalid, render_error
from assay.dialects.posthog.wire import FormFields
from assay.kit.errors import DomainError
from assay.kit.storable import find_unstorable, render_path

PREFIXES = ("/api/environments/{project_id}", "/api/projects/{project_id}")
CURRENT = "@current"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

_BEARER = HTTPBearer(auto_error=False, description="A personal API key.")

Session = Annotated[AsyncSession, Depends(session_of)]
Handler = Callable[..., Coroutine[Any, Any, Any]]


class PosthogRoute(EdgeRoute):
    """Personal keys and four-key errors."""

    async def identify_caller(self, request: Request, session: AsyncSession) -> Principal:
        """The key's principal."""
        return await state_of(request).authenticator.authenticate(session, find_key(request))

    async def _handle(self, request: Request, inner: RequestHandler) -> Response:
        limit = self.max_body_bytes(state_of(request))
        return await super()._handle(await with_key_of_body(request, limit=limit), inner)

    async def _identity(self, request: Request) -> RequestIdentity | None:
        try:
            return await super()._identity(request)
        except HTTPException as error:
            raise BodyError(f"The form cannot be read: {error.detail}") from error

    def check_body(self, body: bytes) -> None:
        """Nothing yet: whether the body is JSON or a form, ``read_object`` sees, after the object is found."""

    def render_error(self, error: DomainError) -> Response:
        """The dialect's four keys."""
        return render_error(error)

    def describe_invalid(self, error: RequestValidationError) -> DomainError:
        """A 400 that names the field."""
        return describe_invalid(error)


DatasetReader = Annotated[Principal, caller_with(Scope.DATASET_READ)]
DatasetWriter = Annotated[Principal, caller_with(Scope.DATASET_WRITE)]
EvaluationReader = Annotated[Principal, caller_with(Scope.EVALUATION_READ)]
EvaluationWriter = Annotated[Principal, caller_with(Scope.EVALUATION_WRITE)]
KeyReader = Annotated[Principal, caller_with(Scope.PROVIDER_KEY_READ)]
KeyWriter = Annotated[Principal, caller_with(Scope.PROVIDER_KEY_WRITE)]
AnalyticsReader = Annotated[Principal, caller_with(Scope.ANALYTICS_READ)]


async def open_project(session: AsyncSession, principal: Principal, reference: str) -> Project:
    """The project that a path names: its number, or ``@current`` for the key's own.

    Raises:
        ProjectNotFoundError: There is no such project, or it is not named by a number.
        ProjectForbiddenError: The key is of another one.
    """
    if reference == CURRENT:
        return await get_project(session, principal)
    if not (reference.isascii() and reference.isdecimal() and len(reference) <= 10):
        raise ProjectNotFoundError
    return await get_project(session, principal, project=int(reference))


async def read_object(request: Request) -> dict[str, Any]:
    """The body, a JSON object or a form (P§1.1); an empty body is an empty object.

    Raises:
        BodyError: It is neither, or holds what cannot be stored.
    """
    if request.headers.get("content-type", "").startswith(FORMS):
        return FormFields(await _read_form(request))
    content = await request.body()
    if content:
        check_json(content)
    value: Any = parse_json(content) if content else {}
    if not isinstance(value, dict):
        raise BodyError("The body must be a JSON object.")
    return cast("dict[str, Any]", value)


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of those with the same name, the last. Files are none."""
    try:
        form = await request.form()
    except HTTPException as error:
        raise BodyError(f"The form cannot be read: {error.detail}") from error
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    for path, reason in find_unstorable(fields, max_depth=2):
        shown = render_path(path)
        raise BodyError(f"{shown}: {reason}", param=shown)
    return fields


def read_uuid(text: str) -> UUID | None:
    """The id that a path segment names; None where it is no UUID, and so names nothing."""
    try:
        return UUID(text)
    except ValueError:
        return None


class ReadingRoute(PosthogRoute):
    """A route whose verb changes things elsewhere, and here only reads: asking twice does no harm."""

    async def _identity(self, request: Request) -> None:
        """Nothing to remember the request by."""
        await request.body()


class Resource:
    """A router whose every route answers under both prefixes, with and without a slash at the end."""

    def __init__(self, *, tag: str) -> None:
        self.router = APIRouter(tags=[tag], route_class=PosthogRoute, dependencies=[Security(_BEARER)])

    def route(
        self, method: str, path: str, *, status_code: int = 200, reads: bool = False
    ) -> Callable[[Handler], Handler]:
        """Register a handler.

        Args:
            method: The verb.
            path: After the prefix, without a slash at its end.
            status_code: Of a success.
            reads: Whether it changes nothing, whatever its verb.
        """

        def register(handler: Handler) -> Handler:
            for prefix in PREFIXES:
                for slash in ("/", ""):
                    self.router.add_api_route(
                        f"{prefix}{path}{slash}",
                        handler,
                        methods=[method],
                        status_code=status_code,
                        response_model=None,
                        include_in_schema=slash == "/",
                        route_class_override=ReadingRoute if reads else None,
                    )
            return handler

        return register


ProjectPath = Annotated[str, Path(description="The project's number, or `@current`.")]
