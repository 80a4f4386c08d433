"""The route class of all dialects: what happens around a route's four steps.

    bound the body → authenticate → claim the request → route → remember the response → commit → answer → forget

One request is one transaction. It commits here, before the answer leaves, and an error of any kind rolls it back. A
mutating request that is sent again is answered from memory (``core.requests``). Each dialect gives its own
authentication and its own form of errors.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Receive, Scope, Send

from assay.core.projects.types import Principal
from assay.core.requests.service import RequestIdentity, StoredResponse, claim, forget, identify, recall, remember
from assay.db.engine import SessionFactory
from assay.db.faults import is_transient
from assay.db.session import transaction
from assay.dialects.edge.bodies import MAX_JSON_BYTES, bounded, check_json, check_length
from assay.dialects.edge.state import ApiState, state_of
from assay.kit.errors import DomainError, UnavailableError

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
DELIVERY_PATIENCE_SECONDS = 0.5
"""How long an equal request waits to learn whether the first one's answer arrived."""

_log = structlog.stdlib.get_logger(__name__)


class EdgeRoute(APIRoute):
    """A route inside a transaction. Subclasses say who calls and how errors look."""

    max_body_bytes: ClassVar[int] = MAX_JSON_BYTES

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
        check_length(request, self.max_body_bytes)
        # Asked of the original stream, because the bounded one may be in the middle of a body.
        request = Request(request.scope, bounded(request.receive, self.max_body_bytes))
        identity = None
        for _ in range(2):
            async with self._opened(request, state.sessions) as session:
                identity = identity or await self._identity(request)
                if identity is None:
                    return await inner(request)
                if await claim(session, request.state.principal, identity):
                    response = await inner(request)
                    await remember(session, identity, _stored(response))
                    return response if identity.keyed else _ForgettingResponse(response, request, identity, state)
            if (remembered := await _recall(state, identity)) is not None:
                return Response(remembered.body, remembered.status_code, media_type=remembered.content_type)
        raise UnavailableError("An equal request is still being carried out. Try again in a second.")

    @asynccontextmanager
    async def _opened(self, request: Request, sessions: SessionFactory) -> AsyncGenerator[AsyncSession]:
        async with transaction(sessions) as session:
            request.state.session = session
            request.state.principal = await self.identify_caller(request, session)
            # Gives the connection back, so that a client that sends its body slowly holds none.
            await session.commit()
            yield session
        if request.method in MUTATING:
            state_of(request).wake_dispatcher()

    async def _identity(self, request: Request) -> RequestIdentity | None:
        """What makes this request the same as another; None where sending it twice does no harm."""
        key = request.headers.get("idempotency-key")
        if request.method not in MUTATING:
            return None
        if request.headers.get("content-type", "").startswith("multipart/"):
            # The upload would have to be read before it can be compared; a second copy of a file costs nothing.
            return None if key is None else self._identify(request, body=b"", key=key)
        body = await request.body()
        if body:
            check_json(body)
        return self._identify(request, body=body, key=key)

    def _identify(self, request: Request, *, body: bytes, key: str | None) -> RequestIdentity:
        target = f"{request.url.path}?{request.url.query}"
        return identify(request.state.principal, method=request.method, target=target, body=body, key=key)


async def _recall(state: ApiState, identity: RequestIdentity) -> StoredResponse | None:
    """The remembered response; None once the first one's client has it, which makes this a request of its own."""
    patience = 0.0 if identity.keyed else DELIVERY_PATIENCE_SECONDS
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        async with state.sessions() as session:
            remembered = await recall(session, identity)
        if remembered is None or asyncio.get_running_loop().time() >= deadline:
            return remembered
        await asyncio.sleep(0.02)


def _stored(response: Response) -> StoredResponse:
    return StoredResponse(
        response.status_code, response.headers.get("content-type", "application/json"), bytes(response.body)
    )


class _ForgettingResponse(Response):
    """Sends a response, and forgets the request if its client was still there to receive it."""

    def __init__(self, inner: Response, request: Request, identity: RequestIdentity, state: ApiState) -> None:
        super().__init__(status_code=inner.status_code)
        self._inner = inner
        self._request = request
        self._identity = identity
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = await self._request.is_disconnected()
        await self._inner(scope, receive, send)
        if gone:
            _log.info("client_gone", path=self._request.url.path)
            return
        async with transaction(self._state.sessions) as session:
            await forget(session, self._identity)
