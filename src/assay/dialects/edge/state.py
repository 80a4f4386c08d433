"""What the routes of every dialect need, opened once in the lifespan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.accounts.tokens import TokenSigner
from assay.core.agents.sealing import ToolSealer
from assay.core.agents.types import AgentPolicy
from assay.core.evaluators.access import JudgeTools
from assay.core.evaluators.keys import KeyTools
from assay.core.files.store import FileStore
from assay.core.imports.history.jobs import HistoryImporter
from assay.core.projects.authentication import Authenticator
from assay.core.projects.types import Principal
from assay.core.responses.types import ResponseTools
from assay.core.schedules.types import ClockReader
from assay.core.webhooks.types import WebhookTools
from assay.db.engine import SessionFactory
from assay.gateway.catalog import Catalog
from assay.gateway.entries import ResolvedModel
from assay.gateway.types import EmbeddingReply, ModelReply, ModelRequest
from assay.sandbox.hog import HogSandbox


@dataclass(frozen=True, slots=True)
class AgentTools:
    """What the routes of agents need."""

    policy: AgentPolicy
    sealer: ToolSealer
    clock_id: Callable[[UUID], str]
    """The durable engine's name for a schedule."""


@dataclass(frozen=True, slots=True)
class AccountTools:
    """What signing in with a password needs."""

    signer: TokenSigner
    registration: bool
    """Whether anybody may register."""


@dataclass(frozen=True, slots=True)
class ApiState:
    """Resources of the API process."""

    sessions: SessionFactory
    authenticator: Authenticator
    accounts: AccountTools
    files: FileStore
    max_file_bytes: int
    """Largest upload."""
    catalog: Catalog
    history: HistoryImporter
    wake_dispatcher: Callable[[], None]
    """Told after each commit, so that what the outbox holds starts at once."""
    webhooks: WebhookTools
    """Checks where webhooks may go, and encrypts their secrets."""
    agents: AgentTools
    responses: ResponseTools
    """What responses are made with."""
    respond: Callable[[ResolvedModel, ModelRequest], Awaitable[ModelReply]]
    """Asks a model, for what is tried before it is kept."""
    embed: Callable[..., Awaitable[EmbeddingReply]]
    """Asks a model for vectors."""
    judges: JudgeTools
    """Finds the key that a judge may use."""
    provider_keys: KeyTools
    """Tries and encrypts keys of model providers."""
    hog: HogSandbox
    """Tries programs; its processes start when they are needed."""
    clock: ClockReader
    """Knows when schedules fire next."""


def state_of(request: Request) -> ApiState:
    """The process's resources."""
    state: ApiState = request.app.state.api
    return state


def session_of(request: Request) -> AsyncSession:
    """The request's session; its transaction ends when the route has answered."""
    session: AsyncSession = request.state.session
    return session


async def give_back(session: AsyncSession) -> None:
    """Give the request's connection back before waiting for something other than the database.

    Only for routes that read: it ends the transaction, and a later statement begins another.
    """
    await session.commit()


def principal_of(request: Request) -> Principal:
    """The caller, already authenticated."""
    principal: Principal = request.state.principal
    return principal
