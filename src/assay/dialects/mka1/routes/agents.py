"""Agents and their versions (M§3.1, M§3.2)."""

from __future__ import annotations

from assay.core.agents import service
from assay.db.paging import OffsetPage, Order
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.agents import from_create_agent, from_update_agent, read_agent_id, to_agent, to_version
from assay.dialects.mka1.query import AgentVersionPath, PageLimit, PageOffset
from assay.dialects.mka1.route import AgentsReader, AgentsWriter, Session, State, mka1_router
from assay.dialects.mka1.wire.agents import CreateAgent, UpdateAgent, WireAgent, WireAgentDeleted, WireAgentVersion
from assay.dialects.mka1.wire.base import WireList

router = mka1_router("/api/v1/agents", tag="agents")


@router.get("")
async def list_agents(
    caller: AgentsReader,
    session: Session,
    offset: PageOffset = 0,
    limit: PageLimit = 20,
    order: Order = Order.DESC,
    deleted: bool = False,
) -> WireList[WireAgent]:
    """List agents, or the deleted ones, by age."""
    page = await service.list_agents(session, caller, deleted=deleted, page=OffsetPage(offset, limit, order))
    return mapping.to_list(page, lambda agent: to_agent(agent, caller))


@router.post("", status_code=201)
async def create_agent(body: CreateAgent, caller: AgentsWriter, session: Session, state: State) -> WireAgent:
    """Create an agent, with its first version."""
    agent = await service.create_agent(
        session, caller, configuration=from_create_agent(body), sealer=state.agents.sealer
    )
    return to_agent(agent, caller)


@router.get("/{agent_id}")
async def get_agent(agent_id: str, caller: AgentsReader, session: Session) -> WireAgent:
    """Retrieve an agent."""
    agent = await service.get_agent(session, caller, agent_id=read_agent_id(agent_id))
    return to_agent(agent, caller)


@router.post("/{agent_id}")
async def update_agent(
    agent_id: str, body: UpdateAgent, caller: AgentsWriter, session: Session, state: State
) -> WireAgent:
    """Change an agent, which makes a version; null clears, what is left out stays."""
    agent = await service.update_agent(
        session,
        caller,
        agent_id=read_agent_id(agent_id),
        changes=from_update_agent(body),
        sealer=state.agents.sealer,
    )
    return to_agent(agent, caller)


@router.delete("/{agent_id}")
async def delete_agent(agent_id: str, caller: AgentsWriter, session: Session, state: State) -> WireAgentDeleted:
    """Delete an agent, which pauses its schedules; it can be restored for a while."""
    await service.delete_agent(session, caller, agent_id=read_agent_id(agent_id), policy=state.agents.policy)
    return WireAgentDeleted(id=agent_id, object="agent.deleted", deleted=True)


@router.post("/{agent_id}/restore")
async def restore_agent(agent_id: str, caller: AgentsWriter, session: Session) -> WireAgent:
    """Bring a deleted agent back; its schedules stay paused."""
    agent = await service.restore_agent(session, caller, agent_id=read_agent_id(agent_id))
    return to_agent(agent, caller)


@router.get("/{agent_id}/versions")
async def list_agent_versions(
    agent_id: str,
    caller: AgentsReader,
    session: Session,
    offset: PageOffset = 0,
    limit: PageLimit = 20,
    order: Order = Order.DESC,
) -> WireList[WireAgentVersion]:
    """List the configurations that an agent has had."""
    page = OffsetPage(offset, limit, order)
    versions = await service.list_versions(session, caller, agent_id=read_agent_id(agent_id), page=page)
    return mapping.to_list(versions, to_version)


@router.get("/{agent_id}/versions/{version}")
async def get_agent_version(
    agent_id: str, version: AgentVersionPath, caller: AgentsReader, session: Session
) -> WireAgentVersion:
    """Retrieve a version."""
    return to_version(await service.get_version(session, caller, agent_id=read_agent_id(agent_id), number=version))


@router.post("/{agent_id}/versions/{version}/rollback")
async def rollback_agent_version(
    agent_id: str, version: AgentVersionPath, caller: AgentsWriter, session: Session
) -> WireAgent:
    """Make an earlier configuration current again, as a new version."""
    agent = await service.rollback_agent(session, caller, agent_id=read_agent_id(agent_id), number=version)
    return to_agent(agent, caller)
