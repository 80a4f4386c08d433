"""What a user can do with agents and their versions.

A version is appended by everything that changes the configuration, and none is ever changed. Deleting an agent hides
it, pauses its schedules and pins the moment until which it can come back; its versions and runs stay readable.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import repository
from assay.core.agents.configuring import change_configuration, check_configuration
from assay.core.agents.errors import AgentBusyError, AgentNotFoundError, AgentStateError, AgentVersionNotFoundError
from assay.core.agents.models import AgentRow, AgentVersionRow
from assay.core.agents.references import resolve_tools
from assay.core.agents.schedules import pause_schedules_of_agent
from assay.core.agents.sealing import ToolSealer, fill_secrets
from assay.core.agents.types import ABSENT, Agent, AgentChanges, AgentConfiguration, AgentPolicy, AgentVersion
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.db.paging import OffsetPage, Page
from assay.kit.clock import utc_now
from assay.kit.ids import new_id


async def create_agent(
    session: AsyncSession, principal: Principal, *, configuration: AgentConfiguration, sealer: ToolSealer
) -> Agent:
    """Make an agent, with its first version.

    Raises:
        AgentInputError, MetadataError: A field is out of its bounds.
        UnknownReferenceError: A tool refers to something that is not there.
    """
    checked = await _check(session, principal, fill_secrets(configuration, before=()))
    now = utc_now()
    row = AgentRow(id=new_id(), **owner_columns(principal), version=1, created_at=now, updated_at=now)
    session.add(row)
    await session.flush()
    version = await _append_version(session, row, sealer.seal(checked), restored_from=None)
    return repository.to_agent(row, version)


async def get_agent(session: AsyncSession, principal: Principal, *, agent_id: UUID) -> Agent:
    """One agent.

    Raises:
        AgentNotFoundError: Not visible to the caller, or deleted.
    """
    found = await repository.find_agent(session, principal, agent_id)
    if found is None:
        raise AgentNotFoundError
    return repository.to_agent(*found)


async def list_agents(session: AsyncSession, principal: Principal, *, deleted: bool, page: OffsetPage) -> Page[Agent]:
    """The caller's agents, or those that are deleted."""
    part = await repository.list_agents(session, principal, deleted=deleted, page=page)
    return part.map(lambda found: repository.to_agent(*found))


async def update_agent(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, changes: AgentChanges, sealer: ToolSealer
) -> Agent:
    """Change some fields, which makes a version.

    Raises:
        AgentNotFoundError: Not visible to the caller.
        EmptyUpdateError: Nothing is to be changed.
        AgentInputError, MetadataError, UnknownReferenceError: As for ``create_agent``.
    """
    row, current = await _lock(session, principal, agent_id)
    before = repository.to_configuration(current.configuration)
    wanted = change_configuration(before, changes)
    if changes.tools is not ABSENT:
        wanted = fill_secrets(wanted, before=before.tools)
    checked = await _check(session, principal, wanted)
    version = await _append_version(session, row, sealer.seal(checked), restored_from=None)
    return repository.to_agent(row, version)


async def delete_agent(session: AsyncSession, principal: Principal, *, agent_id: UUID, policy: AgentPolicy) -> None:
    """Hide an agent and pause its schedules (R39).

    Raises:
        AgentNotFoundError: Not visible to the caller.
        AgentBusyError: Runs of it have not ended.
    """
    row, _ = await _lock(session, principal, agent_id)
    if await repository.has_live_runs(session, row.id):
        raise AgentBusyError("Runs of this agent have not ended. Wait for them or cancel them, then delete it.")
    await pause_schedules_of_agent(session, row.id)
    row.deleted_at = row.updated_at = now = utc_now()
    row.retention_expires_at = now + policy.retention
    await session.flush()


async def restore_agent(session: AsyncSession, principal: Principal, *, agent_id: UUID) -> Agent:
    """Bring a deleted agent back. Its schedules stay paused.

    Raises:
        AgentNotFoundError: Not visible to the caller.
        AgentStateError: It is not deleted, or its time is over.
    """
    row, version = await _lock(session, principal, agent_id, include_deleted=True)
    if row.deleted_at is None:
        raise AgentStateError("The agent is not deleted.")
    if row.retention_expires_at is None or row.retention_expires_at <= utc_now():
        raise AgentStateError("The agent was deleted too long ago and cannot be restored any more.")
    row.deleted_at = row.retention_expires_at = None
    row.updated_at = utc_now()
    await session.flush()
    return repository.to_agent(row, version)


async def list_versions(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, page: OffsetPage
) -> Page[AgentVersion]:
    """The versions of an agent, deleted or not.

    Raises:
        AgentNotFoundError: Not visible to the caller.
    """
    agent = await find_any_agent(session, principal, agent_id)
    part = await repository.list_versions(session, agent.id, page=page)
    return part.map(lambda row: repository.to_version(row, current=agent.version))


async def get_version(session: AsyncSession, principal: Principal, *, agent_id: UUID, number: int) -> AgentVersion:
    """One version of an agent, deleted or not.

    Raises:
        AgentNotFoundError, AgentVersionNotFoundError: Not visible to the caller.
    """
    agent = await find_any_agent(session, principal, agent_id)
    return repository.to_version(await _get_version_row(session, agent.id, number), current=agent.version)


async def rollback_agent(session: AsyncSession, principal: Principal, *, agent_id: UUID, number: int) -> Agent:
    """Make the configuration of an earlier version current, as a new version.

    Raises:
        AgentNotFoundError, AgentVersionNotFoundError: Not visible to the caller.
    """
    row, _ = await _lock(session, principal, agent_id)
    target = await _get_version_row(session, row.id, number)
    version = await _append_version(
        session, row, repository.to_configuration(target.configuration), restored_from=target.number
    )
    return repository.to_agent(row, version)


async def find_any_agent(session: AsyncSession, principal: Principal, agent_id: UUID) -> AgentRow:
    """The row of an agent, deleted or not.

    Raises:
        AgentNotFoundError: Not visible to the caller.
    """
    found = await repository.find_agent(session, principal, agent_id, include_deleted=True)
    if found is None:
        raise AgentNotFoundError
    return found.agent


async def _lock(
    session: AsyncSession, principal: Principal, agent_id: UUID, *, include_deleted: bool = False
) -> tuple[AgentRow, AgentVersionRow]:
    row = await repository.lock_agent(session, principal, agent_id, include_deleted=include_deleted)
    if row is None:
        raise AgentNotFoundError
    return row, await _get_version_row(session, row.id, row.version)


async def _get_version_row(session: AsyncSession, agent_id: UUID, number: int) -> AgentVersionRow:
    row = await repository.find_version(session, agent_id, number)
    if row is None:
        raise AgentVersionNotFoundError(f"The agent has no version {number}.", param="version")
    return row


async def _check(session: AsyncSession, principal: Principal, configuration: AgentConfiguration) -> AgentConfiguration:
    checked = check_configuration(configuration)
    await resolve_tools(session, principal, checked.tools)
    return checked


async def _append_version(
    session: AsyncSession, row: AgentRow, configuration: AgentConfiguration, *, restored_from: int | None
) -> AgentVersionRow:
    now = utc_now()
    number = await repository.find_last_number(session, row.id) + 1
    version = AgentVersionRow(
        id=new_id(),
        agent_id=row.id,
        number=number,
        restored_from=restored_from,
        configuration=repository.from_configuration(configuration),
        created_at=now,
    )
    session.add(version)
    row.version, row.updated_at = number, now
    await session.flush()
    return version
