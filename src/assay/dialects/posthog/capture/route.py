"""The route class of capture: who sends is known by a public token, and the answer is short (P§6.1, P§6.2).

Unlike the dialect's other routes, these claim no request: an event's own uuid makes sending it twice harmless. A body
is read and decoded first, because the token is in it; then one transaction keeps the events, and commits before the
answer leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.capture.decoding import inflate
from assay.core.capture.errors import UnsupportedEncodingError
from assay.core.capture.service import capture
from assay.core.capture.types import Arrival, Captured
from assay.core.projects.errors import InvalidCredentialsError
from assay.core.projects.types import Principal
from assay.db.session import transaction
from assay.dialects.edge.bodies import bounded, check_length
from assay.dialects.edge.route import EdgeRoute
from assay.dialects.edge.state import state_of
from assay.dialects.edge.statuses import STATUS_OF_KIND
from assay.dialects.posthog.capture.envelopes import Envelope
from assay.dialects.posthog.capture.errors import InvalidTokenError, UnsupportedMediaTypeError
from assay.dialects.posthog.errors import describe_invalid
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError, ErrorKind
from assay.metrics import observe_capture

SINGLE_BYTES = 2 * 1024 * 1024
BATCH_BYTES = 20 * 1024 * 1024
AI_BYTES = 25 * 1024 * 1024
"""Largest bodies by lane, before and after decompression (P§6.1)."""

MAX_TOKEN_CHARACTERS = 200
_THREAD_BYTES = 256 * 1024
"""Bodies over this are decoded in a thread, so that other requests are answered meanwhile."""

_log = structlog.stdlib.get_logger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class CaptureRoute(EdgeRoute):
    """Errors as text, and answers that any page of the web may read: the tokens are public."""

    async def identify_caller(self, request: Request, session: AsyncSession) -> Principal:
        """Never called: the token is in the body, and ``keep`` looks it up."""
        raise AssertionError("a capture route asked for a key, which capture has none of")

    def render_error(self, error: DomainError) -> Response:
        """For faults that befall the request as a whole, such as an unreachable database."""
        return render_fault(error, as_json=False)

    def describe_invalid(self, error: RequestValidationError) -> DomainError:
        """Only paths can have such faults."""
        return describe_invalid(error)

    async def _handle(self, request: Request, inner: Handler) -> Response:
        try:
            response = await inner(request)
        except DomainError as error:
            response = render_fault(error, as_json="json" in request.headers.get("accept", ""))
        response.headers.update(_cross_origin(request))
        return response


def render_fault(error: DomainError, *, as_json: bool) -> Response:
    """A short reason, or an object with ``detail`` and ``error``, where the vendor's clients look for it."""
    status, headers = fault_status(error), fault_headers(error)
    if as_json:
        return JSONResponse({"detail": error.message, "error": error.message, "code": error.code}, status, headers)
    return PlainTextResponse(error.message, status, headers)


def fault_status(error: DomainError) -> int:
    """The HTTP status of a fault."""
    unsupported = isinstance(error, UnsupportedEncodingError | UnsupportedMediaTypeError)
    return 415 if unsupported else STATUS_OF_KIND[error.kind]


def fault_headers(error: DomainError) -> dict[str, str] | None:
    """When to try again, where that helps."""
    return {"Retry-After": "1"} if error.kind is ErrorKind.UNAVAILABLE else None


async def read_body(request: Request, *, limit: int) -> bytes:
    """The body without its transport encoding.

    Raises:
        BodyTooLargeError, InflatedError: It passes the limit, as sent or decompressed.
        UndecodableError, UnsupportedEncodingError: It cannot be decompressed.
    """
    check_length(request, limit)
    content = await Request(request.scope, bounded(request.receive, limit)).body()
    encoding = request.headers.get("content-encoding", "")
    return await off_loop(len(content), lambda: inflate(content, encoding, limit=limit))


async def off_loop(size: int, work: Callable[[], Any]) -> Any:
    """Do the work at once when it is small, else in a thread."""
    return await asyncio.to_thread(work) if size > _THREAD_BYTES else work()


async def keep(request: Request, envelope: Envelope, *, is_strict: bool = False) -> Captured:
    """Keep the events; they are committed on return.

    Raises:
        InvalidTokenError: No project has the token.
        NoEventsError, TooManyEventsError: There are none, or too many.
    """
    state = state_of(request)
    arrival = Arrival(received_at=utc_now(), sent_at=envelope.sent_at, is_strict=is_strict)
    async with transaction(state.sessions) as session:
        sender = await _sender(request, session, envelope.token)
        captured = await capture(session, sender, envelope.events, arrival)
    observe_capture(captured)
    if captured.stored:
        state.wake_dispatcher()
    if captured.refused:
        first = captured.refused[0]
        _log.info("events_refused", count=len(captured.refused), fault=first.fault.value, path=request.url.path)
    return captured


async def check_token(request: Request, token: str) -> None:
    """Refuse a token that no project has.

    Raises:
        InvalidTokenError: None has it.
    """
    async with transaction(state_of(request).sessions) as session:
        await _sender(request, session, token)


def outer_tokens(request: Request) -> list[str]:
    """Tokens outside of the body, in order of weight; some are empty."""
    parameters = request.query_params
    return [parameters.get("token", ""), parameters.get("api_key", ""), bearer_or_empty(request)]


def bearer_or_empty(request: Request) -> str:
    """The token of the header; empty without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def add(router: APIRouter, path: str, handler: Handler, *, methods: tuple[str, ...] = ("POST",)) -> None:
    """Register a handler with and without a slash at the end, and the answer to a browser's question before it."""
    for slash in ("/", ""):
        router.add_api_route(
            f"{path}{slash}", handler, methods=list(methods), response_model=None, include_in_schema=slash == "/"
        )
        router.add_api_route(
            f"{path}{slash}", _answer_preflight, methods=["OPTIONS"], response_model=None, include_in_schema=False
        )


async def _sender(request: Request, session: AsyncSession, token: str) -> Principal:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise InvalidTokenError
    try:
        return await state_of(request).authenticator.authenticate_capture(session, token)
    except InvalidCredentialsError as error:
        raise InvalidTokenError from error


async def _answer_preflight(request: Request) -> Response:
    """Any page may send events."""
    return Response(status_code=204)


def _cross_origin(request: Request) -> Mapping[str, str]:
    origin = request.headers.get("origin")
    if origin is None:
        return {}
    asked = request.headers.get("access-control-request-headers", "content-type, content-encoding, authorization")
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": asked,
        "Access-Control-Max-Age": "86400",
        "Vary": "Origin",
    }
