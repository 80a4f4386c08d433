"""Tool calls and tool lists: started, carried out, finished, each finished once.

A call that was started and has no result was interrupted: the worker died, or lost the database. It is made again where
that can do no harm, with the same key; otherwise the model is told that nobody knows whether it was carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import progress
from assay.core.agents.errors import DepthError
from assay.core.agents.references import read_reference
from assay.core.agents.starting import Cause, create_child_run, create_run
from assay.core.agents.types import AgentRun, NewRun, RunOrigin, RunStatus
from assay.core.conversations.items import CALL_INDEX, item_id
from assay.core.ownership import act_as_owner
from assay.core.responses import repository
from assay.core.responses.engine import Engine
from assay.core.responses.models import ResponseRow, ResponseStepRow
from assay.core.responses.record import Done, finish, lock_live, start, write_step
from assay.core.responses.types import StepKind, StepStatus
from assay.core.tools.definitions import MAX_SLEEP_SECONDS
from assay.core.tools.service import parse_arguments
from assay.core.tools.types import AgentCall, Listing, McpCall, McpServer, Sleep, Tool, ToolFault, ToolOutcome
from assay.db.session import transaction
from assay.kit import json
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError, ErrorKind

MAX_AGENT_INPUT = 20_000


@dataclass(frozen=True, slots=True)
class Stepped:
    """How far a step is."""

    over: bool = False
    """The response has ended, or the step cannot be done."""
    sleep_seconds: float | None = None
    """It ends after this long, or when it is woken, with ``wake``."""
    waiting: bool = False
    """Another agent is at work; take the step again later."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be carried out outside of any transaction."""

    server: McpServer | None = None
    tool: Tool | None = None


async def take_step(engine: Engine, response_id: UUID, number: int) -> Stepped:
    """Do a step, or say that it has been done.

    Raises:
        SandboxUnavailableError: The sandbox is broken; try again later.
    """
    async with transaction(engine.sessions) as session:
        found = await _lock(session, response_id, number)
        if found is None:
            return Stepped(over=True)
        row, step = found
        if step.status == StepStatus.FINISHED.value:
            return Stepped()
        try:
            work = await _prepare(engine, session, row, step)
        except DomainError as error:
            if error.kind is ErrorKind.UNAVAILABLE:
                raise
            await engine.fail_row(session, row, error)
            return Stepped(over=True)
        details, key = step.details, f"{response_id.hex}-{number}"
    if isinstance(work, Stepped):
        return work
    if work.server is not None:
        listing = await engine.toolbox.list_tools(work.server)
        await _finish_list(engine, response_id, number, work.server, listing)
        return Stepped()
    assert work.tool is not None
    outcome = await engine.toolbox.call(work.tool, details["arguments"], key=key)
    await _finish_call(engine, response_id, number, work.tool, outcome)
    return Stepped()


async def wake(engine: Engine, response_id: UUID, number: int) -> None:
    """End a sleep, because its time is over or because somebody sent something to go on with."""
    async with transaction(engine.sessions) as session:
        found = await _lock(session, response_id, number)
        if found is None or found[1].status == StepStatus.FINISHED.value:
            return
        row, step = found
        given = await _wake_input(session, row, step)
        row.sleeping_until = None
        if row.run_id is not None:
            await progress.sleep_run(session, run_id=row.run_id, until=None)
        slept = (utc_now() - (step.started_at or utc_now())).total_seconds()
        result: dict[str, Any] = {"slept_seconds": round(slept, 3), "woken": given is not None}
        if given is not None:
            result["input"] = given
        await _write(engine, session, row, step, None, ToolOutcome(json.dumps(result)))


async def _wake_input(session: AsyncSession, row: ResponseRow, step: ResponseStepRow) -> Any:
    if row.run_id is None:
        given, row.wake_input = row.wake_input, None
        return given
    wakes = await progress.take_wakes(session, run_id=row.run_id, step_key=_key(step))
    inputs = [one.input for one in wakes]
    return None if not inputs else inputs[0] if len(inputs) == 1 else inputs


async def _prepare(engine: Engine, session: AsyncSession, row: ResponseRow, step: ResponseStepRow) -> _Work | Stepped:
    toolset = engine.parse(row)
    if step.kind == StepKind.LIST_TOOLS.value:
        start(step)
        return _Work(server=toolset.servers[int(step.details["server"])])
    toolset = engine.with_listed(toolset, await repository.list_steps(session, row.id))
    tool = toolset.find(step.details["name"])
    refused = _refuse(step, tool)
    if refused is not None or tool is None:
        await _write(engine, session, row, step, tool, refused or _unknown(step))
        return Stepped()
    match tool.execution:
        case Sleep():
            return await _fall_asleep(engine, session, row, step, tool)
        case AgentCall(agent_id=agent_id):
            return await _ask_agent(engine, session, row, step, tool, agent_id)
        case _:
            start(step)
            return _Work(tool=tool)


def _unknown(step: ResponseStepRow) -> ToolOutcome:
    return ToolOutcome.failed(ToolFault.UNKNOWN, f"There is no tool {step.details['name'][:64]!r}.")


def _refuse(step: ResponseStepRow, tool: Tool | None) -> ToolOutcome | None:
    """The outcome of a call that is not made."""
    if step.details.get("approved") is False:
        return ToolOutcome.failed(ToolFault.DENIED, "The user did not allow this call.")
    if step.status == StepStatus.STARTED.value and tool is not None and not tool.repeatable:
        return ToolOutcome.failed(
            ToolFault.INTERRUPTED,
            "The call was interrupted. Nobody knows whether it was carried out, and repeating it might do harm.",
        )
    return None


async def _fall_asleep(
    engine: Engine, session: AsyncSession, row: ResponseRow, step: ResponseStepRow, tool: Tool
) -> Stepped:
    seconds = _seconds(parse_arguments(step.details["arguments"]))
    if seconds is None:
        message = f"`duration_seconds` must be a number from 0 to {MAX_SLEEP_SECONDS}."
        await _write(engine, session, row, step, tool, ToolOutcome.failed(ToolFault.ARGUMENTS, message))
        return Stepped()
    if step.status == StepStatus.PENDING.value:
        start(step)
        row.sleeping_until = utc_now() + timedelta(seconds=seconds)
        if row.run_id is not None:
            await progress.sleep_run(session, run_id=row.run_id, until=row.sleeping_until)
    assert step.started_at is not None
    left = step.started_at + timedelta(seconds=seconds) - utc_now()
    return Stepped(sleep_seconds=max(0.0, left.total_seconds()))


def _seconds(given: Mapping[str, Any] | ToolOutcome) -> float | None:
    value = None if isinstance(given, ToolOutcome) else given.get("duration_seconds")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SLEEP_SECONDS:
        return None
    return float(value)


async def _ask_agent(
    engine: Engine, session: AsyncSession, row: ResponseRow, step: ResponseStepRow, tool: Tool, agent_id: str
) -> Stepped:
    """Start another agent's run, or see whether it has ended."""
    if step.child_run_id is None:
        outcome = await _start_agent(engine, session, row, step, agent_id)
        if outcome is not None:
            await _write(engine, session, row, step, tool, outcome)
            return Stepped()
        start(step)
        return Stepped(waiting=True)
    child = await progress.find_run(session, step.child_run_id)
    if child is not None and not child.status.has_ended:
        return Stepped(waiting=True)
    await _write(engine, session, row, step, tool, _answer_of(child))
    return Stepped()


async def _start_agent(
    engine: Engine, session: AsyncSession, row: ResponseRow, step: ResponseStepRow, agent_id: str
) -> ToolOutcome | None:
    given = parse_arguments(step.details["arguments"])
    task = None if isinstance(given, ToolOutcome) else given.get("input")
    if not isinstance(task, str) or not 1 <= len(task) <= MAX_AGENT_INPUT:
        return ToolOutcome.failed(ToolFault.ARGUMENTS, f"`input` must be a text of 1 to {MAX_AGENT_INPUT} characters.")
    reference = read_reference(agent_id)
    new, policy = NewRun(input=task), engine.tools.policy
    try:
        async with session.begin_nested():
            if row.run_id is not None and reference is not None:
                run = await create_child_run(
                    session,
                    parent_run_id=row.run_id,
                    call_id=step.details["call_id"],
                    agent_id=reference,
                    new=new,
                    policy=policy,
                )
            else:
                owner = await act_as_owner(session, row)
                cause = Cause(RunOrigin.AGENT, depth=1)
                run = await create_run(
                    session, owner, agent_id=reference or UUID(int=0), new=new, policy=policy, cause=cause
                )
    except DepthError as error:
        return ToolOutcome.failed(ToolFault.DEPTH, error.message)
    except DomainError as error:
        return ToolOutcome.failed(ToolFault.AGENT, error.message or error.code)
    step.child_run_id = run.id
    return None


def _answer_of(run: AgentRun | None) -> ToolOutcome:
    if run is None:
        return ToolOutcome.failed(ToolFault.AGENT, "The agent's run is gone.")
    if run.status is not RunStatus.COMPLETED:
        why = (run.error or {}).get("message") or "no reason is known"
        return ToolOutcome.failed(ToolFault.AGENT, f"The agent's run is {run.status.value}: {why}")
    output: Any = (run.response or {}).get("output") or ()
    texts = [
        part.get("text", "") for item in output if item.get("type") == "message" for part in item.get("content") or ()
    ]
    return ToolOutcome("\n".join(texts[-1:]) if texts else "")


async def _finish_list(engine: Engine, response_id: UUID, number: int, server: McpServer, listing: Listing) -> None:
    async with transaction(engine.sessions) as session:
        found = await _lock(session, response_id, number)
        if found is None or found[1].status == StepStatus.FINISHED.value:
            return
        row, step = found
        item: dict[str, Any] = {
            "type": "mcp_list_tools",
            "id": item_id("mcp_list_tools"),
            "server_label": server.label,
            "tools": [
                {"name": tool.name, "description": tool.description, "input_schema": dict(tool.input_schema)}
                for tool in listing.tools
            ],
        }
        if listing.error is not None:
            item["error"] = listing.error
        finish(step, {"tools": [asdict(tool) for tool in listing.tools]})
        done = Done(
            key=f"list/{number}",
            kind=StepKind.LIST_TOOLS,
            started_at=step.started_at or utc_now(),
            items=[item],
        )
        await write_step(session, row, done, render=engine.render)


async def _finish_call(engine: Engine, response_id: UUID, number: int, tool: Tool, outcome: ToolOutcome) -> None:
    async with transaction(engine.sessions) as session:
        found = await _lock(session, response_id, number)
        if found is not None and found[1].status != StepStatus.FINISHED.value:
            await _write(engine, session, *found, tool, outcome)


async def _write(
    engine: Engine,
    session: AsyncSession,
    row: ResponseRow,
    step: ResponseStepRow,
    tool: Tool | None,
    outcome: ToolOutcome,
) -> None:
    finish(step, {"fault": None if outcome.fault is None else outcome.fault.value})
    done = Done(
        key=_key(step),
        kind=StepKind.TOOL_CALL,
        started_at=step.started_at or utc_now(),
        items=[_item(step, tool, outcome)],
        turn=step.turn,
    )
    await write_step(session, row, done, render=engine.render)


def _item(step: ResponseStepRow, tool: Tool | None, outcome: ToolOutcome) -> dict[str, Any]:
    details: Mapping[str, Any] = step.details
    if "label" not in details and not (tool is not None and isinstance(tool.execution, McpCall)):
        return {
            "type": "function_call_output",
            "id": item_id("function_call_output"),
            "call_id": details["call_id"],
            "output": outcome.text,
            "status": "completed",
        }
    if tool is not None and isinstance(tool.execution, McpCall):
        label, name = tool.execution.server.label, tool.execution.tool.name
    else:
        label, name = details["label"], details["tool"]
    item: dict[str, Any] = {
        "type": "mcp_call",
        "id": item_id("mcp_call"),
        "call_id": details["call_id"],
        "function_name": details["name"],
        "server_label": label,
        "name": name,
        "arguments": details["arguments"],
        "output" if outcome.fault is None else "error": outcome.text,
    }
    if CALL_INDEX in details:
        item[CALL_INDEX] = details[CALL_INDEX]
    if "approval_request_id" in details:
        item["approval_request_id"] = details["approval_request_id"]
    return item


def _key(step: ResponseStepRow) -> str:
    # Call ids are the provider's, and some of them count from 0 in every turn.
    return f"call/{step.number}/{step.details.get('call_id', '')}"[:200]


async def _lock(session: AsyncSession, response_id: UUID, number: int) -> tuple[ResponseRow, ResponseStepRow] | None:
    row = await lock_live(session, response_id)
    if row is None:
        return None
    step = await session.get(ResponseStepRow, (response_id, number), populate_existing=True)
    return None if step is None else (row, step)
