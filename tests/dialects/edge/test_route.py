"""The route class itself, with routes that misbehave: what they did is undone, whatever way they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.accounts.tokens import TokenSigner
from assay.core.agents.sealing import ToolSealer
from assay.core.agents.types import AgentPolicy
from assay.core.evaluators.access import JudgeTools
from assay.core.evaluators.checking import KeyChecker
from assay.core.evaluators.keys import KeyTools
from assay.core.files.store import open_file_store
from assay.core.imports.history.jobs import HistoryImporter
from assay.core.projects.authentication import Authenticator
from assay.core.projects.models import OrganizationRow
from assay.core.projects.service import create_organization
from assay.core.projects.types import Principal
from assay.core.requests.models import RememberedRequestRow
from assay.core.responses.types import ResponseTools
from assay.core.schedules.types import Schedule
from assay.core.webhooks.types import WebhookTools
from assay.db.engine import SessionFactory
from assay.db.session import after_commit, transaction
from assay.dialects.edge.route import EdgeRoute
from assay.dialects.edge.state import AccountTools, AgentTools, ApiState, session_of, state_of
from assay.dialects.mka1.errors import describe_invalid, render_error
from assay.gateway.catalog import Catalog
from assay.gateway.types import EmbeddingReply, ModelReply
from assay.kit.errors import ConflictError, DomainError
from assay.outbound.client import GuardedClient
from assay.outbound.policy import OutboundPolicy
from assay.sandbox.hog import HogSandbox

TOKEN = "mk-0123456789-0123456789"


class PlainRoute(EdgeRoute):
    async def identify_caller(self, request: Request, session: AsyncSession) -> Principal:
        return await state_of(request).authenticator.authenticate(session, TOKEN)

    def render_error(self, error: DomainError) -> Response:
        return render_error(error)

    def describe_invalid(self, error: RequestValidationError) -> DomainError:
        return describe_invalid(error)


class Surroundings:
    """What the routes below have done outside the database."""

    woken = 0
    effects = 0

    def wake(self) -> None:
        self.woken += 1

    async def effect(self) -> None:
        self.effects += 1


async def _write(request: Request) -> None:
    """A change and an effect that waits for its commit."""
    session = session_of(request)
    session.add(OrganizationRow(name="made by a route"))
    await session.flush()
    after_commit(session, request.app.state.surroundings.effect)


router = APIRouter(route_class=PlainRoute)


@router.post("/good")
async def good(request: Request) -> dict[str, str]:
    await _write(request)
    return {"status": "made"}


@router.post("/returns-error")
async def returns_error(request: Request) -> Response:
    await _write(request)
    return JSONResponse({"status": "refused"}, 409)


@router.post("/raises-error")
async def raises_error(request: Request) -> Response:
    await _write(request)
    raise ConflictError("no")


@router.post("/crashes")
async def crashes(request: Request) -> Response:
    await _write(request)
    raise ZeroDivisionError


@router.post("/loses-database")
async def loses_database(request: Request) -> Response:
    await _write(request)
    raise OperationalError("SELECT 1", {}, ConnectionResetError())


@router.post("/slow-query")
async def slow_query(request: Request) -> Response:
    await _write(request)
    await session_of(request).execute(select(func.set_config("statement_timeout", "10", True)))
    await session_of(request).execute(select(func.pg_sleep(5)))
    return Response()


@pytest.fixture
def surroundings() -> Surroundings:
    return Surroundings()


@pytest.fixture
async def http(
    sessions: SessionFactory, tmp_path: Path, surroundings: Surroundings
) -> AsyncIterator[httpx.AsyncClient]:
    async with transaction(sessions) as session:
        await create_organization(session, name="First", api_key=TOKEN)
    app = FastAPI()
    app.include_router(router)
    app.state.surroundings = surroundings
    app.state.api = ApiState(
        sessions=sessions,
        authenticator=Authenticator(),
        accounts=AccountTools(TokenSigner(None), registration=False),
        files=open_file_store(None, folder=tmp_path),
        max_file_bytes=1,
        catalog=Catalog(()),
        history=HistoryImporter(sessions, GuardedClient(OutboundPolicy()), hub_url="https://hub.example"),
        wake_dispatcher=surroundings.wake,
        webhooks=WebhookTools(OutboundPolicy.of([], []), None),
        agents=AgentTools(AgentPolicy(), ToolSealer(None), str),
        responses=ResponseTools(Catalog(()), OutboundPolicy(), ToolSealer(None), AgentPolicy()),
        respond=_no_reply,
        embed=_no_embedding,
        judges=JudgeTools(Catalog(()), None),
        provider_keys=KeyTools(KeyChecker(GuardedClient(OutboundPolicy())), None),
        hog=HogSandbox(),
        clock=_NoClock(),
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def _no_reply(*_: object) -> ModelReply:
    raise AssertionError("no route of this test asks a model")


async def _no_embedding(*_: object, **__: object) -> EmbeddingReply:
    raise AssertionError("no route of this test embeds")


class _NoClock:
    async def next_fires(self, schedules: Sequence[Schedule]) -> Mapping[UUID, datetime | None]:
        return {schedule.id: None for schedule in schedules}


async def _count(sessions: SessionFactory, model: type[Any]) -> int:
    async with sessions() as session:
        return (await session.execute(select(func.count()).select_from(model))).scalar_one()


async def test_a_success_is_committed_before_it_is_answered(
    http: httpx.AsyncClient, sessions: SessionFactory, surroundings: Surroundings
) -> None:
    response = await http.post("/good")

    assert (response.status_code, response.json()) == (200, {"status": "made"})
    assert await _count(sessions, OrganizationRow) == 2
    assert (surroundings.effects, surroundings.woken) == (1, 1)


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
@pytest.mark.parametrize(
    ("path", "status"),
    [("returns-error", 409), ("raises-error", 409), ("crashes", 500), ("loses-database", 503), ("slow-query", 503)],
)
async def test_a_failure_leaves_nothing(
    http: httpx.AsyncClient,
    sessions: SessionFactory,
    surroundings: Surroundings,
    path: str,
    status: int,
    headers: dict[str, str],
) -> None:
    response = await http.post(f"/{path}", headers=headers)

    assert response.status_code == status
    assert await _count(sessions, OrganizationRow) == 1
    assert await _count(sessions, RememberedRequestRow) == 0
    assert (surroundings.effects, surroundings.woken) == (0, 0)
