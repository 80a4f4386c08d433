"""Agents, and runs of them that nobody carries out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete
from tests.support.live import LiveServer
from tests.support.mka1 import Client

from assay.core.agents.models import AgentRow
from assay.core.agents.starting import create_run
from assay.core.agents.types import AgentPolicy, NewRun, workflow_id
from assay.core.outbox.models import OutboxRow
from assay.core.ownership import act_as_owner
from assay.db.session import transaction
from assay.dialects.mka1.agents import read_agent_id
from assay.dialects.mka1.identifiers import Prefix, write_id


async def make_agent(client: Client, **fields: Any) -> Any:
    """An agent."""
    return await client.call("agents.create_agent", **{"name": "helper", "model": "openai/m", **fields})


def queue_run(live: LiveServer, agent_id: str) -> str:
    """A run that stays queued: its workflow is never started."""

    async def queue() -> str:
        async with transaction(live.runtime.sessions) as session:
            agent = await session.get_one(AgentRow, read_agent_id(agent_id))
            owner = await act_as_owner(session, agent)
            new = NewRun(input="hello")
            run = await create_run(session, owner, agent_id=agent.id, new=new, policy=AgentPolicy())
            await session.execute(delete(OutboxRow).where(OutboxRow.workflow_id == workflow_id(run.id)))
            return write_id(Prefix.AGENT_RUN, run.id)

    return live.call(queue())
