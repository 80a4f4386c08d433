"""What every process of Assay opens: engine, files, gateway, sandbox, Temporal client. Closed in reverse order."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError

from assay.core.agents.sealing import ToolSealer
from assay.core.agents.types import AgentPolicy, RunLimits
from assay.core.datasets.hub.types import HubAccess
from assay.core.files.store import FileStore, open_file_store
from assay.core.responses.types import ResponseTools
from assay.db.engine import SessionFactory, open_engine, session_factory
from assay.gateway.gateway import Gateway, open_gateway
from assay.kit.errors import UnavailableError
from assay.kit.secrets import SecretBox
from assay.metrics import observe_model_call
from assay.outbound.client import GuardedResolver
from assay.outbound.policy import OutboundPolicy
from assay.sandbox.contract import Sandbox
from assay.sandbox.hog import HogSandbox
from assay.sandbox.monty import MontySandbox
from assay.settings import Settings, TemporalSettings


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services are, embedded or external."""

    database_url: str
    temporal_address: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """The open resources of a process."""

    settings: Settings
    engine: AsyncEngine
    sessions: SessionFactory
    files: FileStore
    gateway: Gateway
    temporal: Client
    secrets: SecretBox | None
    """Opens stored secrets; None when there is no key for them."""


class TemporalUnreachableError(UnavailableError):
    """Temporal did not answer."""

    code = "temporal_unreachable"


@asynccontextmanager
async def open_runtime(settings: Settings, addresses: Addresses, *, secret_key: str | None) -> AsyncGenerator[Runtime]:
    """Open a process's resources.

    Args:
        settings: All settings.
        addresses: Where PostgreSQL and Temporal are.
        secret_key: Opens stored secrets; None when there are none to open.

    Raises:
        TemporalUnreachableError: Temporal did not answer.
    """
    async with AsyncExitStack() as stack:
        engine = open_engine(
            addresses.database_url,
            pool_size=settings.database.pool_size,
            statement_timeout_seconds=settings.database.statement_timeout_seconds,
        )
        stack.push_async_callback(engine.dispose)
        sessions = session_factory(engine)
        secrets = None if secret_key is None else SecretBox(secret_key)
        gateway = await stack.enter_async_context(
            await open_gateway(
                settings,
                sessions,
                secrets=secrets,
                observer=observe_model_call,
                folder=None,
                resolver=GuardedResolver(outbound_policy(settings)),
            )
        )
        yield Runtime(
            settings=settings,
            engine=engine,
            sessions=sessions,
            files=open_file_store(settings.files.url, folder=settings.core.home / "files"),
            gateway=gateway,
            temporal=await connect_temporal(settings.temporal, addresses.temporal_address),
            secrets=secrets,
        )


def outbound_policy(settings: Settings) -> OutboundPolicy:
    """Where requests to addresses that users gave may go."""
    return OutboundPolicy.of(settings.outbound.allow_hosts, settings.outbound.allow_cidrs)


def hub_access(settings: Settings) -> HubAccess:
    """Where Hugging Face datasets are read."""
    hub = settings.hub
    return HubAccess(
        url=hub.url,
        folder=hub.folder,
        token=None if hub.token is None else hub.token.get_secret_value(),
        max_bytes=hub.max_bytes,
        timeout_seconds=hub.timeout_seconds,
    )


def agent_policy(settings: Settings) -> AgentPolicy:
    """What the installation decides for all agents."""
    agents = settings.agents
    limits = RunLimits(
        max_turns=agents.max_turns,
        max_tool_calls=agents.max_tool_calls,
        max_tokens=agents.max_tokens,
        max_seconds=agents.max_seconds,
        max_cost_usd=agents.max_cost_usd,
    )
    return AgentPolicy(retention=timedelta(days=agents.retention_days), limits=limits, max_depth=agents.max_depth)


def response_tools(runtime: Runtime) -> ResponseTools:
    """What responses are made with."""
    return ResponseTools(
        catalog=runtime.gateway.catalog,
        outbound=outbound_policy(runtime.settings),
        sealer=ToolSealer(runtime.secrets),
        policy=agent_policy(runtime.settings),
    )


async def connect_temporal(settings: TemporalSettings, address: str) -> Client:
    """A client of the configured namespace.

    Raises:
        TemporalUnreachableError: Nobody answers there.
    """
    try:
        return await Client.connect(
            address,
            namespace=settings.namespace,
            tls=settings.tls,
            api_key=None if settings.api_key is None else settings.api_key.get_secret_value(),
        )
    except (RPCError, RuntimeError) as error:
        raise TemporalUnreachableError(f"Temporal does not answer at {address}: {error}") from error


@asynccontextmanager
async def open_sandbox() -> AsyncGenerator[Sandbox]:
    """The sandbox of a worker."""
    async with MontySandbox() as sandbox:
        yield sandbox


@asynccontextmanager
async def open_hog_sandbox() -> AsyncGenerator[HogSandbox]:
    """The sandbox of a worker for Hog programs; its processes start when they are needed."""
    sandbox = HogSandbox(max_workers=max(2, os.cpu_count() or 2))
    try:
        yield sandbox
    finally:
        await sandbox.close()
