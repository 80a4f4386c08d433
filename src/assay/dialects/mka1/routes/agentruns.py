"""Runs of agents (M§3.4)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Header, Request
from fastapi.responses import StreamingResponse

from assay.core.agents import runs
from assay.core.agents.starting import create_run
from assay.db.paging import OffsetPage, Order
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.agents import from_create_run, read_agent_id, to_approval, to_run, to_wake
from assay.dialects.mka1.following import MEDIA_TYPE, follow_run
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.query import PageLimit, PageOffset
from assay.dialects.mka1.route import AgentsReader, AgentsWriter, Session, State, mka1_router
from assay.dialects.mka1.wire.agents import (
    CreateAgentRun,
    DecideApproval,
    WakeAgentRun,
    WireAgentRun,
    WireAgentRunWake,
    WireApproval,
)
from assay.dialects.mka1.wire.base import WireList

router = mka1_router("/api/v1/agents/{agent_id}/runs", tag="agent runs")

LastEventId = Annotated[
    int | None, Header(alias="Last-Event-ID", ge=0, le=2**31 - 1, description="Go on after this event.")
]


@router.get("")
async def list_agent_runs(
    agent_id: str,
    caller: AgentsReader,
    session: Session,
    offset: PageOffset = 0,
    limit: PageLimit = 20,
    order: Order = Order.DESC,
) -> WireList[WireAgentRun]:
    """List the runs of an agent by age."""
    page = OffsetPage(offset, limit, order)
    found = await runs.list_runs(session, caller, agent_id=read_agent_id(agent_id), page=page)
    return mapping.to_list(found, to_run)


@router.post("", status_code=201)
async def create_agent_run(
    agent_id: str, body: CreateAgentRun, caller: AgentsWriter, session: Session, state: State
) -> WireAgentRun:
    """Queue a run of an agent."""
    run = await create_run(
        session,
        caller,
        agent_id=read_agent_id(agent_id),
        new=from_create_run(body),
        policy=state.agents.policy,
    )
    return to_run(run)


@router.get("/{run_id}")
async def get_agent_run(agent_id: str, run_id: str, caller: AgentsReader, session: Session) -> WireAgentRun:
    """Retrieve a run."""
    return to_run(await runs.get_run(session, caller, agent_id=read_agent_id(agent_id), run_id=_read(run_id)))


@router.get(
    "/{run_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "Events."}},
)
async def stream_agent_run_events(
    agent_id: str,
    run_id: str,
    caller: AgentsReader,
    session: Session,
    state: State,
    request: Request,
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """Follow a run: everything from its start, then what happens, until it has ended."""
    run = await runs.open_events(session, caller, agent_id=read_agent_id(agent_id), run_id=_read(run_id))
    after = -1 if last_event_id is None else last_event_id
    events = follow_run(state.sessions, run.id, after=after, is_gone=request.is_disconnected)
    return StreamingResponse(events, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-cache"})


@router.post("/{run_id}/cancel")
async def cancel_agent_run(agent_id: str, run_id: str, caller: AgentsWriter, session: Session) -> WireAgentRun:
    """Cancel a run, and those that its tool calls have started."""
    run = await runs.cancel_run(session, caller, agent_id=read_agent_id(agent_id), run_id=_read(run_id))
    return to_run(run)


@router.post("/{run_id}/wake")
async def wake_agent_run(
    agent_id: str, run_id: str, body: WakeAgentRun, caller: AgentsWriter, session: Session
) -> WireAgentRunWake:
    """End the sleep of a run, and give it something to go on with."""
    run, wake = await runs.wake_run(
        session, caller, agent_id=read_agent_id(agent_id), run_id=_read(run_id), input=body.input
    )
    return to_wake(run, wake)


@router.post("/{run_id}/mcp-approvals", status_code=201)
async def decide_agent_run_mcp_approval(
    agent_id: str, run_id: str, body: DecideApproval, caller: AgentsWriter, session: Session
) -> WireApproval:
    """Allow or refuse a tool call, and go on in a new run."""
    decision = await runs.decide_approval(
        session,
        caller,
        agent_id=read_agent_id(agent_id),
        run_id=_read(run_id),
        request_id=body.approval_request_id,
        approve=body.approve,
        reason=body.reason,
    )
    return to_approval(decision)


def _read(run_id: str) -> UUID:
    return read_id(Prefix.AGENT_RUN, run_id, param="run_id")
