"""The route class of all dialects: what happens around a route's four steps.

    authenticate → read the body, bounded → claim the request → route → remember the response → commit → answer → forget

One request is one transaction. It commits here, before the answer leaves, and an error of any kind rolls it back, be it
raised or returned. No connection to the database is held while a client sends its body. A mutating request that is
sent again is answered from memory (``core.requests``). Each dialect gives its own authentication and its own form of
errors.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from assay.core.projects.types import Principal
from assay.core.requests.service import RequestIdentity, StoredResponse, claim, forget, identify, recall, remember
from assay.db.faults import is_transient
from assay.db.session import transaction
from assay.dialects.edge.bodies import (
    MAX_JSON_BYTES,
    BodyError,
    bounded,
    check_json,
    check_length,
    check_query,
    digest_form,
)
from assay.dialects.edge.state import ApiState, state_of
from assay.kit.errors import DomainError, UnavailableError

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
DELIVERY_PATIENCE_SECONDS = 0.5
"""How long an equal request waits to learn whether the first one's answer arrived."""
TURN_PATIENCE_SECONDS = 4.0
"""How long equal requests queue for each other; clients give up after 5 seconds (M§1.8)."""

_log = structlog.stdlib.get_logger(__name__)


class _RefusedError(Exception):
    """A route returned an error instead of raising one, which must not commit either."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class EdgeRoute(APIRoute):
    """A route inside a transaction. Subclasses say who calls and how errors look."""

    @abstractmethod
    async def identify_caller(self, request: Request, session: AsyncSession) -> Principal:
        """Who is calling.

        Raises:
            UnauthenticatedError, ForbiddenError, InvalidError: As the dialect's headers have it.
        """

    @abstractmethod
    def render_error(self, error: DomainError) -> Response:
        """The dialect's form of an error."""

    @abstractmethod
    def describe_invalid(self, error: RequestValidationError) -> DomainError:
        """The same fault as an error of ours."""

    def max_body_bytes(self, state: ApiState) -> int:
        """Longest body that is read."""
        return MAX_JSON_BYTES

    def check_body(self, body: bytes) -> None:
        """Refuse a JSON body that cannot be stored.

        Raises:
            BodyError: With the place of the fault.
        """
        check_json(body)

    def replay(self, request: Request, remembered: StoredResponse) -> Response:
        """The answer to a request that was carried out before."""
        return Response(remembered.body, remembered.status_code, media_type=remembered.content_type)

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await self._handle(request, inner)
            except DomainError as error:
                return self.render_error(error)
            except RequestValidationError as error:
                return self.render_error(self.describe_invalid(error))
            except _RefusedError as refused:
                return refused.response
            except ClientDisconnect:
                return self.render_error(BodyError("The connection broke off before the body was complete."))
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("database_unavailable", path=request.url.path, error=repr(error))
                return self.render_error(
                    UnavailableError("The database is not reachable at the moment. Try again in a second.")
                )

        return handle

    async def _handle(self, request: Request, inner: Handler) -> Response:
        state = state_of(request)
        async with transaction(state.sessions) as session:
            request.state.principal = await self.identify_caller(request, session)
        check_query(request)
        if request.method not in MUTATING:
            return await self._carry_out(request, inner)
        limit = self.max_body_bytes(state)
        check_length(request, limit)
        request = Request(request.scope, bounded(request.receive, limit))
        try:
            identity = await self._identity(request)
            if identity is None:
                return await self._carry_out(request, inner)
            response = await self._carry_out_once(request, inner, identity)
        finally:
            await request.close()
        return response if identity.keyed else _ForgettingResponse(response, request, identity)

    async def _carry_out(self, request: Request, inner: Handler) -> Response:
        async with self._opened(request):
            return await _succeed(request, inner)

    async def _carry_out_once(self, request: Request, inner: Handler, identity: RequestIdentity) -> Response:
        """Carry the request out, or find the response of an equal one.

        Raises:
            UnavailableError: Equal requests took all the time there is.
        """
        state = state_of(request)
        deadline = _now() + TURN_PATIENCE_SECONDS
        while True:
            async with self._opened(request) as session:
                if await claim(session, request.state.principal, identity):
                    response = await _succeed(request, inner)
                    await remember(session, identity, _stored(response))
                    return response
            if (remembered := await _recall(state, identity)) is not None:
                return self.replay(request, remembered)
            # The equal request's client has its answer, so this one is a wish of its own, unless nobody is left to
            # have it: a client that gave up sends the same again, and that one must not find two effects.
            if _now() > deadline or await request.is_disconnected():
                raise UnavailableError("Equal requests are still being carried out. Try again in a second.")

    @asynccontextmanager
    async def _opened(self, request: Request) -> AsyncGenerator[AsyncSession]:
        state = state_of(request)
        async with transaction(state.sessions) as session:
            request.state.session = session
            yield session
        if request.method in MUTATING:
            state.wake_dispatcher()

    async def _identity(self, request: Request) -> RequestIdentity | None:
        """What makes this request the same as another; None where sending it twice does no harm. Reads the body."""
        key = request.headers.get("idempotency-key")
        if request.headers.get("content-type", "").startswith("multipart/"):
            form = await request.form()
            # A second copy of a file costs nothing, so without a key no upload is worth the reading.
            return None if key is None else self._identify(request, body=await digest_form(form), key=key)
        body = await request.body()
        if body:
            self.check_body(body)
        return self._identify(request, body=body, key=key)

    def _identify(self, request: Request, *, body: bytes, key: str | None) -> RequestIdentity:
        target = f"{request.url.path}?{request.url.query}"
        return identify(request.state.principal, method=request.method, target=target, body=body, key=key)


async def _succeed(request: Request, inner: Handler) -> Response:
    response = await inner(request)
    if response.status_code >= 400:
        raise _RefusedError(response)
    return response


async def _recall(state: ApiState, identity: RequestIdentity) -> StoredResponse | None:
    """The remembered response; None once the first one's client has it, which makes this a request of its own."""
    deadline = _now() + (0.0 if identity.keyed else DELIVERY_PATIENCE_SECONDS)
    while True:
        async with state.sessions() as session:
            remembered = await recall(session, identity)
        if remembered is None or _now() >= deadline:
            return remembered
        await asyncio.sleep(0.02)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _stored(response: Response) -> StoredResponse:
    return StoredResponse(
        response.status_code, response.headers.get("content-type", "application/json"), bytes(response.body)
    )


class _ForgettingResponse(Response):
    """Sends a response, and forgets the request if its client was still there to receive it.

    A client that gives up while the answer is on its way, less than one round trip, is not noticed.
    """

    def __init__(self, inner: Response, request: Request, identity: RequestIdentity) -> None:
        super().__init__(status_code=inner.status_code)
        self._inner = inner
        self._request = request
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Lets the loop look at its sockets: the client may have gone while the handler last computed.
        await asyncio.sleep(0)
        gone = await self._request.is_disconnected()
        await self._inner(scope, receive, send)
        if gone:
            _log.info("client_gone", path=self._request.url.path)
        else:
            await self._forget()

    async def _forget(self) -> None:
        try:
            async with transaction(state_of(self._request).sessions) as session:
                await forget(session, self._identity)
        except Exception as error:
            if not is_transient(error):
                raise
            # The answer has left, and what is not forgotten now is forgotten when its time is over.
            _log.warning("request_not_forgotten", error=repr(error))
