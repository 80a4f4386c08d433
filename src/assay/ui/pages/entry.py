"""Signing in and out, and switching between projects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from assay.core.accounts import service as accounts
from assay.core.accounts.types import NewSession, Refusal
from assay.core.projects.errors import InvalidCredentialsError
from assay.db.session import transaction
from assay.dialects.edge.bodies import check_query
from assay.dialects.edge.state import state_of
from assay.kit.errors import DomainError
from assay.ui.edge import COOKIE, Pages, Visit, check_origin, error_page, page, read_form, read_uuid, safe_path

MAX_SIGN_IN_BYTES = 16 * 1024
REFUSALS = {
    Refusal.WRONG: "E-mail or password is wrong.",
    Refusal.LOCKED: "Too many wrong passwords. Wait a while, then try again.",
}
pages = Pages()


async def show_door(request: Request) -> Response:
    """The page on which to sign in."""
    check_query(request)
    return _door(request, way=request.query_params.get("way", "key"), next_page=request.query_params.get("next"))


async def sign_in(request: Request) -> Response:
    """Begin a session with a key or a password."""
    check_origin(request)
    form = await read_form(request, MAX_SIGN_IN_BYTES)
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    await form.close()
    way, next_page = fields.get("way", "key"), fields.get("next")
    async with transaction(state_of(request).sessions) as session:
        if way == "email":
            email = fields.get("email", "")
            found = await accounts.sign_in_with_password(session, email=email, password=fields.get("password", ""))
        else:
            email = ""
            try:
                found = await accounts.sign_in_with_key(session, fields.get("key", "").strip())
            except InvalidCredentialsError as error:
                return _door(request, way=way, next_page=next_page, problem=error.message)
    if isinstance(found, Refusal):
        return _door(request, way=way, next_page=next_page, problem=REFUSALS[found], email=email)
    return _let_in(request, found, safe_path(next_page))


def _door(
    request: Request, *, way: str, next_page: str | None, problem: str | None = None, email: str = ""
) -> Response:
    status = 200 if problem is None else 401
    way = way if way in {"key", "email"} else "key"
    return page(request, "signin.html", status=status, way=way, next=safe_path(next_page), problem=problem, email=email)


def _let_in(request: Request, found: NewSession, path: str) -> Response:
    response = RedirectResponse(path, 303)
    response.set_cookie(
        COOKIE,
        found.token,
        max_age=int(accounts.SESSION_LIFETIME.total_seconds()),
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="lax",
    )
    return response


@pages.post("/signout", None)
async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await accounts.sign_out(visit.session, visit.request.cookies[COOKIE])
    response = RedirectResponse("/signin", 303)
    response.delete_cookie(COOKIE)
    return response


@pages.post("/project", None)
async def switch_project(visit: Visit) -> Response:
    """Show another project."""
    project_id = read_uuid(visit.field("project"))
    if project_id is not None:
        await accounts.switch_project(visit.session, visit.visitor, project_id)
    return visit.go("/")


def _guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except DomainError as error:
            return await error_page(request, error)

    return handle


pages.routes += [
    Route("/signin", _guarded(show_door), methods=["GET"], include_in_schema=False),
    Route("/signin", _guarded(sign_in), methods=["POST"], include_in_schema=False),
]
