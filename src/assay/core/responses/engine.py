"""What the workflow's activities do with a response, but for model turns and tool calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import progress
from assay.core.agents import repository as agents
from assay.core.agents.references import read_reference
from assay.core.agents.types import AgentRun, NewEvent, RunLimits, RunStatus
from assay.core.conversations.service import read_items
from assay.core.ownership import act_as_owner
from assay.core.responses import events, repository
from assay.core.responses.models import ResponseItemRow, ResponseRow, ResponseStepRow, UsedApprovalRow
from assay.core.responses.record import Render, described, end, lock_live
from assay.core.responses.service import insert_response
from assay.core.responses.types import (
    ContextItem,
    NewResponse,
    ResponseStatus,
    ResponseTools,
    StepKind,
    StepStatus,
)
from assay.core.tools.definitions import parse_tools, server_tools
from assay.core.tools.service import ToolBox
from assay.core.tools.types import McpTool, Toolset
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.gateway.gateway import Gateway
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError, ErrorKind

RUN_SETTINGS = ("instructions", "tool_choice", "parallel_tool_calls", "fallback_models", "text", "reasoning")


@dataclass(frozen=True, slots=True)
class Engine:
    """What responses are carried out with."""

    sessions: SessionFactory
    gateway: Gateway
    toolbox: ToolBox
    tools: ResponseTools
    render: Render

    async def submit_run(self, run_id: UUID) -> UUID | None:
        """Turn an agent's run into a response; the same one when it is asked again. None when the run has ended."""
        async with transaction(self.sessions) as session:
            run = await progress.find_run(session, run_id)
            if run is None or run.status.has_ended:
                return None
            row = await repository.find_of_run(session, run_id)
            if row is not None:
                return row.id
            try:
                async with session.begin_nested():
                    row = await self._insert_of_run(session, run)
            except DomainError as error:
                if error.kind is ErrorKind.UNAVAILABLE:
                    raise
                described_error = {"code": error.code, "message": error.message}
                await progress.finish_run(
                    session, run_id=run_id, status=RunStatus.FAILED, response=None, error=described_error
                )
                return None
            snapshot = self.render(await described(session, row))
            told = [NewEvent(event["type"], event) for event in events.first_events(snapshot)]
            await progress.begin_run(session, run_id=run_id, response_id=row.id, response=snapshot, events=told)
            return row.id

    async def begin(self, response_id: UUID) -> int | None:
        """Take a queued response up.

        Returns:
            How many steps come before the first model turn; None when it has ended.
        """
        async with transaction(self.sessions) as session:
            row = await lock_live(session, response_id)
            if row is None:
                return None
            if row.status == ResponseStatus.QUEUED.value:
                row.status = ResponseStatus.IN_PROGRESS.value
                row.started_at = utc_now()
                try:
                    toolset = self.parse(row)
                except DomainError as error:
                    await self.fail_row(session, row, error)
                    return None
                for number, _ in enumerate(toolset.servers):
                    session.add(repository.new_step(row, StepKind.LIST_TOOLS.value, {"server": number}, turn=None))
                await self._add_decided(session, row)
                await session.flush()
            steps = await repository.list_steps(session, response_id)
            return sum(1 for step in steps if step.turn is None)

    async def end_completed(self, response_id: UUID) -> None:
        """End a response whose last turn has called what others have to answer."""
        async with transaction(self.sessions) as session:
            row = await lock_live(session, response_id)
            if row is not None:
                await end(session, row, ResponseStatus.COMPLETED, render=self.render)

    async def fail(self, response_id: UUID, error: Mapping[str, Any]) -> None:
        """End a response that cannot go on."""
        async with transaction(self.sessions) as session:
            row = await lock_live(session, response_id)
            if row is not None:
                await end(session, row, ResponseStatus.FAILED, render=self.render, error=error)

    async def settle(self, response_id: UUID) -> None:
        """Note that a response's workflow was cancelled."""
        async with transaction(self.sessions) as session:
            row = await lock_live(session, response_id)
            if row is not None:
                await end(session, row, ResponseStatus.CANCELLED, render=self.render)

    async def fail_row(self, session: AsyncSession, row: ResponseRow, error: DomainError) -> None:
        """End a locked, live response by an error of ours."""
        fault = {"code": error.code, "message": error.message}
        await end(session, row, ResponseStatus.FAILED, render=self.render, error=fault)

    def parse(self, row: ResponseRow) -> Toolset:
        """A response's tools.

        Raises:
            UnsupportedToolError, ToolDefinitionError, SecretKeyError: They cannot be used.
        """
        opened = [self.tools.sealer.open(tool) for tool in row.resolved_tools]
        return parse_tools(opened, self.tools.outbound)

    def with_listed(self, toolset: Toolset, steps: Sequence[ResponseStepRow]) -> Toolset:
        """The tools together with what MCP servers have listed."""
        for step in steps:
            if step.kind == StepKind.LIST_TOOLS.value and step.status == StepStatus.FINISHED.value and step.result:
                listed = [McpTool(**tool) for tool in step.result["tools"]]
                toolset = toolset.with_tools(server_tools(toolset.servers[int(step.details["server"])], listed))
        return toolset

    def limits(self, row: ResponseRow) -> RunLimits:
        """What a response may use."""
        limits = agents.to_limits(row.limits) if row.limits else self.tools.policy.limits
        if row.max_tool_calls is None:
            return limits
        return replace(limits, max_tool_calls=min(limits.max_tool_calls, row.max_tool_calls))

    async def read_context(self, session: AsyncSession, row: ResponseRow) -> list[ContextItem]:
        """Everything that a model is told of: what the response goes on from, its input, and what it has brought."""
        before: list[ContextItem] = []
        if row.conversation_id is not None:
            before = [
                ContextItem(one.item, _turn(one.response_id, one.turn))
                for one in await read_items(session, row.conversation_id)
            ]
        elif row.previous_id is not None:
            before = await repository.read_context(session, await repository.read_chain(session, row.previous_id))
        own = await repository.list_items(session, row.id)
        given = [ContextItem(one.item, None) for one in own if not one.is_output]
        brought = [ContextItem(one.item, _turn(row.id, one.turn)) for one in own if one.is_output]
        for place in range(len(brought) - 1, -1, -1):
            if brought[place].item["type"] == "compaction":
                # The summary stands for everything before it but the question.
                return [brought[place], *given, *brought[place + 1 :]]
        return [*before, *given, *brought]

    async def _insert_of_run(self, session: AsyncSession, run: AgentRun) -> ResponseRow:
        owned = await agents.find_any_run(session, run.id)
        assert owned is not None
        snapshot = run.snapshot
        settings = {name: snapshot[name] for name in RUN_SETTINGS if snapshot.get(name) is not None}
        if run.context_management:
            settings["context_management"] = list(run.context_management)
        conversation = run.conversation
        name = conversation.get("id") if isinstance(conversation, Mapping) else conversation  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - JSON
        new = NewResponse(
            model=snapshot["model"],
            input=run.input,
            settings=settings,
            tools=snapshot["tools"],
            conversation_id=_reference(name, "conversation"),
            previous_id=_reference(run.previous_response_id, "previous_response_id"),
            background=True,
            metadata=run.metadata,
            max_tool_calls=snapshot.get("max_tool_calls"),
        )
        return await insert_response(
            session,
            await act_as_owner(session, owned),
            new=new,
            resolved_tools=snapshot["tools"],
            tools=self.tools,
            run_id=run.id,
            limits=agents.from_limits(run.limits),
            sealed=True,
        )

    async def _add_decided(self, session: AsyncSession, row: ResponseRow) -> None:
        """Steps for calls that a person has decided on; a refused one becomes a result that says so."""
        used = await session.scalars(select(UsedApprovalRow).where(UsedApprovalRow.response_id == row.id))
        for approval in used:
            asked = await session.scalar(
                select(ResponseItemRow.item).where(ResponseItemRow.item_id == approval.request_id).limit(1)
            )
            assert asked is not None
            details = {
                "call_id": f"call_{approval.request_id}",
                "name": asked["function_name"],
                "label": asked["server_label"],
                "tool": asked["name"],
                "arguments": asked["arguments"],
                "approval_request_id": approval.request_id,
                "approved": approval.approved,
            }
            session.add(repository.new_step(row, StepKind.TOOL_CALL.value, details, turn=None))


def _turn(response_id: UUID | None, turn: int | None) -> tuple[UUID, int] | None:
    return None if response_id is None or turn is None else (response_id, turn)


def _reference(text: Any, param: str) -> UUID | None:
    if text is None:
        return None
    found = read_reference(text)
    # An id of another form names nothing; the nil UUID is nobody's.
    return found or UUID(int=0)
