"""What happens around every page: find the session, check where a form came from, one transaction, errors as pages.

The rules are those of the APIs' routes (``dialects.edge.route``): no connection to the database is held while a browser
sends its form, a request is one transaction, and it commits before the answer leaves. A page names the scope that it
needs, and so does every form.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from assay.core.accounts import service as accounts
from assay.core.accounts.types import Visitor
from assay.core.projects.types import Principal, Role, Scope
from assay.db.faults import is_transient
from assay.db.session import transaction
from assay.dialects.edge.bodies import BodyTooLargeError, bounded, check_length, check_query
from assay.dialects.edge.state import ApiState, state_of
from assay.kit.errors import DomainError, ErrorKind, ForbiddenError, InvalidError, NotFoundError, UnavailableError
from assay.kit.storable import find_unstorable
from assay.ui import rendering

COOKIE = "assay_session"
NOTICE_COOKIE = "assay_notice"
MAX_FORM_BYTES = 3 * 1024 * 1024
"""A manifest has at most one MiB, which grows when a form encodes it."""
MAX_FORM_FIELDS = 2000
STATUSES = {
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONFLICT: 409,
    ErrorKind.INVALID: 422,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.LIMIT: 413,
    ErrorKind.UNAVAILABLE: 503,
}

_log = structlog.stdlib.get_logger(__name__)


class ForeignFormError(ForbiddenError):
    """A form that did not come from a page of ours, or from one of an older session."""

    code = "foreign_form"

    def __init__(self) -> None:
        super().__init__("This form is out of date, or did not come from this site. Reload the page and try again.")


class FieldError(InvalidError):
    """A field of a form is wrong."""

    code = "invalid_field"


class PageNotFoundError(NotFoundError):
    """There is no such page."""

    code = "page_not_found"


@dataclass(slots=True)
class Visit:
    """One request of a signed-in browser."""

    request: Request
    state: ApiState
    session: AsyncSession
    visitor: Visitor
    form: FormData

    @property
    def principal(self) -> Principal:
        """On whose behalf services are called."""
        return self.visitor.principal

    def path_id(self, name: str) -> UUID:
        """The id in the page's path.

        Raises:
            PageNotFoundError: It is none.
        """
        return read_uuid(self.request.path_params[name]) or _no_page()

    def query(self, name: str) -> str | None:
        """A parameter of the address; None when it is missing or empty."""
        return self.request.query_params.get(name) or None

    def query_id(self, name: str) -> UUID | None:
        """An id in the address; None when it is missing.

        Raises:
            FieldError: It is none.
        """
        text = self.query(name)
        if text is None:
            return None
        found = read_uuid(text)
        if found is None:
            raise FieldError(f"`{name}` is no id.", param=name)
        return found

    def field(self, name: str) -> str:
        """A field of the form, without spaces around it; empty when it is missing."""
        value = self.form.get(name)
        return value.strip() if isinstance(value, str) else ""

    def optional(self, name: str) -> str | None:
        """A field of the form; None when it is missing or blank."""
        return self.field(name) or None

    def upload(self, name: str) -> UploadFile | None:
        """A file of the form; None when none was chosen."""
        value = self.form.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None

    async def render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page of ours, in the layout, for this visitor."""
        notice = self.request.cookies.get(NOTICE_COOKIE)
        context = {
            "visitor": self.visitor,
            "principal": self.principal,
            "projects": await accounts.list_visible_projects(self.session, self.visitor),
            "csrf": accounts.csrf_token(self.request.cookies[COOKIE]),
            "notice": None if notice is None else unquote(notice),
            "may": self.may,
            "is_admin": self.principal.role.covers(Role.ADMIN),
            **values,
        }
        response = page(self.request, template, status=status, **context)
        if notice is not None:
            response.delete_cookie(NOTICE_COOKIE)
        return response

    def fragment(self, template: str, **values: Any) -> Response:
        """A part of a page, without the layout, for the script to put in place."""
        csrf = accounts.csrf_token(self.request.cookies[COOKIE])
        return page(self.request, template, csrf=csrf, may=self.may, principal=self.principal, **values)

    def may(self, scope: str) -> bool:
        """Whether the visitor holds a scope; what they may not do is not offered."""
        return self.principal.allows(Scope(scope))

    def go(self, path: str, notice: str | None = None) -> Response:
        """Show another page after a form was carried out, with a word about it."""
        response = RedirectResponse(path, 303)
        if notice is not None:
            response.set_cookie(NOTICE_COOKIE, quote(notice[:300]), max_age=30, httponly=True, samesite="lax")
        return response


Handler = Callable[[Visit], Awaitable[Response]]


class Pages:
    """Collects the pages of a module: ``@pages.get("/runs", Scope.EVALS_READ)``."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def get(self, path: str, scope: Scope | None) -> Callable[[Handler], Handler]:
        """A page. Without a scope, everybody who is signed in may see it."""
        return self._add(path, scope, "GET", MAX_FORM_BYTES)

    def post(
        self, path: str, scope: Scope | None, *, max_bytes: int | None = MAX_FORM_BYTES
    ) -> Callable[[Handler], Handler]:
        """A form. ``max_bytes=None`` takes files up to the installation's largest upload."""
        return self._add(path, scope, "POST", max_bytes)

    def _add(self, path: str, scope: Scope | None, method: str, max_bytes: int | None) -> Callable[[Handler], Handler]:
        def add(handler: Handler) -> Handler:
            async def endpoint(request: Request) -> Response:
                return await _answer(request, handler, scope, max_bytes)

            endpoint.__name__ = handler.__name__
            endpoint.scope = scope  # type: ignore[attr-defined] - read by the tests that walk all pages
            self.routes.append(Route(path, endpoint, methods=[method], include_in_schema=False))
            return handler

        return add


async def _answer(request: Request, handler: Handler, scope: Scope | None, max_bytes: int | None) -> Response:
    """Carry a page or form out; an error of any kind rolls everything back and becomes a page."""
    try:
        return await _carry_out(request, handler, scope, max_bytes)
    except DomainError as error:
        return await error_page(request, error)
    except ClientDisconnect:
        return Response(status_code=400)
    except Exception as error:
        if not is_transient(error):
            raise
        _log.warning("database_unavailable", path=request.url.path, error=repr(error))
        return await error_page(
            request, UnavailableError("The database is not reachable at the moment. Try again in a second.")
        )


async def _carry_out(request: Request, handler: Handler, scope: Scope | None, max_bytes: int | None) -> Response:
    state = state_of(request)
    token = request.cookies.get(COOKIE, "")
    check_query(request)
    form = FormData()
    if request.method == "POST":
        check_origin(request)
        async with transaction(state.sessions) as session:
            _require(await accounts.find_visitor(session, token), scope)
        form = await read_form(request, state.max_file_bytes + MAX_FORM_BYTES if max_bytes is None else max_bytes)
        _check_csrf(form, token)
    try:
        async with transaction(state.sessions) as session:
            visitor = await accounts.find_visitor(session, token)
            _require(visitor, scope)
            response = await handler(Visit(request, state, session, visitor, form))
    finally:
        await form.close()
    if request.method == "POST":
        state.wake_dispatcher()
    return response


def _require(visitor: Visitor, scope: Scope | None) -> None:
    if scope is not None:
        visitor.principal.require(scope)


def check_origin(request: Request) -> None:
    """Refuse a form that another site sent.

    Browsers say with every form where it comes from, and no page can make them say otherwise.

    Raises:
        ForeignFormError: It came from elsewhere, or it is not said from where.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None and site not in {"same-origin", "none"}:
        raise ForeignFormError
    if origin is None and site is None:
        raise ForeignFormError
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForeignFormError


def _check_csrf(form: FormData, token: str) -> None:
    sent = form.get("csrf")
    if not isinstance(sent, str) or not rendering.same_text(sent, accounts.csrf_token(token)):
        raise ForeignFormError


async def read_form(request: Request, limit: int) -> FormData:
    """The form of a request, bounded and free of what cannot be stored.

    Raises:
        BodyTooLargeError: It is longer than ``limit`` bytes.
        FieldError: A value holds what PostgreSQL refuses.
    """
    check_length(request, limit)
    limited = Request(request.scope, bounded(request.receive, limit))
    form = await limited.form(max_fields=MAX_FORM_FIELDS, max_part_size=limit)
    for name, value in form.multi_items():
        for _, reason in find_unstorable([name, value if isinstance(value, str) else ""], max_depth=2):
            raise FieldError(f"`{name[:50]}`: {reason}", param=name[:50])
    return form


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A template as an answer, with the headers that keep it to itself."""
    text = rendering.render(template, request=request, theme=request.cookies.get("assay_theme", "auto"), **values)
    return Response(text, status, headers=rendering.HEADERS, media_type="text/html")


async def error_page(request: Request, error: DomainError) -> Response:
    """An error as a page of ours; who is not signed in is asked to."""
    status = STATUSES[error.kind]
    is_fragment = request.headers.get("x-fragment") is not None
    if error.kind is ErrorKind.UNAUTHENTICATED and not is_fragment:
        target = request.url.path if request.method == "GET" else "/"
        query = f"?{request.url.query}" if request.method == "GET" and request.url.query else ""
        response: Response = RedirectResponse(f"/signin?next={quote(target + query)}", 303)
        response.delete_cookie(COOKIE)
        return response
    template = "error_part.html" if is_fragment else "error.html"
    return page(request, template, status=status, error=error, code=status, back=_referring_page(request))


def _referring_page(request: Request) -> str:
    """The page of ours on which the reader was."""
    parts = urlsplit(request.headers.get("referer", ""))
    ours = parts.netloc == request.headers.get("host") and parts.path.startswith("/")
    return (parts.path + (f"?{parts.query}" if parts.query else "")) if ours else "/"


def read_uuid(text: str) -> UUID | None:
    """The id that a text holds: hexadecimal with or without hyphens, with or without an API's prefix."""
    try:
        return UUID(text.rsplit("_", 1)[-1])
    except ValueError:
        return None


def safe_path(text: str | None) -> str:
    """A page of ours to go on to; the first one when the text names anything else."""
    if text is None or not text.startswith("/") or text.startswith(("//", "/\\")) or not text.isprintable():
        return "/"
    return text


def params_of(visit: Visit, names: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that are set, to put into links."""
    return {name: str(value) for name, value in names.items() if value not in {None, ""}}


def _no_page() -> NoReturn:
    raise PageNotFoundError("There is no such page.")


__all__ = ["BodyTooLargeError", "Handler", "Pages", "Visit"]
