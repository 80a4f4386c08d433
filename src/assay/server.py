"""The API role: the dialects and the pages on one FastAPI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.core.accounts.tokens import TokenSigner
from assay.core.agents.sealing import ToolSealer
from assay.core.evaluators.access import JudgeTools
from assay.core.evaluators.checking import KeyChecker
from assay.core.evaluators.keys import KeyTools
from assay.core.imports.history.jobs import HistoryImporter
from assay.core.projects.authentication import Authenticator
from assay.core.webhooks.types import WebhookTools
from assay.dialects.edge.state import AccountTools, AgentTools, ApiState
from assay.dialects.mka1 import app as mka1
from assay.dialects.mka1 import openapi
from assay.dialects.mka1.errors import envelope
from assay.dialects.overmind import app as overmind
from assay.dialects.overmind import openapi as overmind_openapi
from assay.dialects.overmind.errors import render_status
from assay.dialects.posthog import app as posthog
from assay.dialects.posthog import openapi as posthog_openapi
from assay.kit.logging import log_context
from assay.metrics import REQUEST_SECONDS, REQUESTS
from assay.outbound.client import GuardedClient
from assay.runtime import Runtime, agent_policy, outbound_policy, response_tools
from assay.sandbox.hog import HogSandbox
from assay.ui import app as ui
from assay.workflows.schedules.adapter import TemporalClock
from assay.workflows.schedules.kinds import AGENT_SCHEDULES
from assay.workflows.schedules.reading import ClockReadings

READY_TIMEOUT_SECONDS = 2.0

_log = structlog.stdlib.get_logger(__name__)

OpenState = Callable[[], AbstractAsyncContextManager[ApiState]]


def api_state(runtime: Runtime, *, wake_dispatcher: Callable[[], None]) -> ApiState:
    """What the routes need of a runtime."""
    settings = runtime.settings
    clock = TemporalClock(runtime.temporal, task_queue=settings.temporal.task_queue)
    return ApiState(
        sessions=runtime.sessions,
        authenticator=Authenticator(),
        accounts=AccountTools(
            TokenSigner(None if runtime.secrets is None else runtime.secrets.signing_key),
            registration=settings.accounts.registration,
        ),
        files=runtime.files,
        max_file_bytes=settings.files.max_bytes,
        catalog=runtime.gateway.catalog,
        history=HistoryImporter(
            runtime.sessions,
            GuardedClient(outbound_policy(settings)),
            hub_url=settings.imports.hub_url,
            folder=settings.imports.folder,
        ),
        wake_dispatcher=wake_dispatcher,
        judges=JudgeTools(runtime.gateway.catalog, runtime.secrets, settings.online.judge_provider),
        provider_keys=KeyTools(KeyChecker(GuardedClient(outbound_policy(settings))), runtime.secrets),
        hog=HogSandbox(),
        webhooks=WebhookTools(outbound_policy(settings), runtime.secrets),
        agents=AgentTools(
            agent_policy(settings),
            ToolSealer(runtime.secrets),
            lambda schedule_id: clock.id_of(AGENT_SCHEDULES.clock_name(schedule_id)),
        ),
        responses=response_tools(runtime),
        respond=runtime.gateway.respond_with,
        embed=runtime.gateway.embed,
        clock=ClockReadings(clock),
    )


def create_app(open_state: OpenState) -> FastAPI:
    """The application.

    Args:
        open_state: Opens what the routes need; entered and left with the application's lifespan.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with open_state() as state:
            app.state.api = state
            try:
                yield
            finally:
                await state.history.close()
                await state.hog.close()

    app = FastAPI(
        title="Assay",
        summary="Continuous evaluation and improvement of LLM applications and agents.",
        version="0.1.0",
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
    )
    for router in (
        *mka1.routers(),
        *posthog.routers(),
        *posthog.capture_routers(),
        *overmind.routers(),
    ):
        app.include_router(router)
    _add_document(app, "/openapi/mka1.json", openapi.document)
    _add_document(app, "/openapi/posthog.json", posthog_openapi.document)
    _add_document(app, "/openapi/overmind.json", overmind_openapi.document)
    _add_document(app, "/api/schema/", overmind_openapi.document)
    _add_operations(app)
    app.router.routes += ui.routes()
    app.add_exception_handler(HTTPException, _render_http_exception)
    app.add_exception_handler(Exception, _render_unexpected)
    app.add_middleware(RequestLog)
    return app


def _add_document(app: FastAPI, path: str, document: Callable[[], dict[str, Any]]) -> None:
    @app.get(path, include_in_schema=False)
    async def openapi_document() -> JSONResponse:
        """The dialect's own OpenAPI document, for client generators."""
        return JSONResponse(document())


def _add_operations(app: FastAPI) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> PlainTextResponse:
        """The process is alive."""
        return PlainTextResponse("ok")

    @app.get("/health", include_in_schema=False)
    async def health() -> JSONResponse:
        """The same, as the clients of the ``overmind`` dialect ask for it (O§2.8)."""
        return JSONResponse({"status": "healthy"})

    @app.get("/api/docs/", include_in_schema=False)
    async def explore() -> Response:
        """The dialect's operations, to be tried out."""
        return get_swagger_ui_html(openapi_url="/api/schema/", title="Assay: overmind")

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> Response:
        """The process can serve: its database answers."""
        state: ApiState = request.app.state.api
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS), state.sessions() as session:
                await session.execute(text("SELECT 1"))
        except Exception as error:
            return JSONResponse({"status": "unavailable", "database": type(error).__name__}, 503)
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _render_http_exception(request: Request, error: Exception) -> Response:
    """Paths and verbs that no route has, in the envelope that every dialect's client can read."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if overmind.owns(request.url.path):
        response = render_status(status)
        response.headers.update(headers or {})
        return response
    known = {404: ("No such path.", "not_found_error"), 405: ("This path has no such method.", "invalid_request_error")}
    message, word = known.get(status, (str(getattr(error, "detail", error)), "invalid_request_error"))
    return JSONResponse(envelope(message, kind_word=word), status, headers)


async def _render_unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours: the reader gets an id to quote, the log gets everything."""
    request_id = str(request.scope.get("request_id", ""))
    if overmind.owns(request.url.path):
        return render_status(500, error_id=request_id)
    body = envelope(f"Internal error. Quote request id {request_id}.", kind_word="internal_error")
    return JSONResponse(body, 500, {"X-Request-Id": request_id})


class RequestLog:
    """Gives each request an id, counts and times it by route, and logs what failed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["request_id"] = uuid4().hex
        started = perf_counter()
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with log_context(request_id=request_id):
            try:
                await self._app(scope, receive, send_and_note)
            finally:
                _note(scope, status, perf_counter() - started)


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "unmatched")
    REQUESTS.labels(scope["method"], route, str(status)).inc()
    REQUEST_SECONDS.labels(scope["method"], route).observe(seconds)
    log = _log.warning if status >= 500 else _log.debug
    log("request", method=scope["method"], path=scope["path"], status=status, milliseconds=round(seconds * 1000, 1))
