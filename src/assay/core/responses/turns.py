"""Model turns: what the model is told, asking it, and writing down what it said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents.progress import ask_approval
from assay.core.agents.types import RunLimits
from assay.core.conversations.items import CALL_INDEX, item_id
from assay.core.responses import repository
from assay.core.responses.context import count_context_tokens, to_messages
from assay.core.responses.engine import Engine
from assay.core.responses.models import ResponseRow
from assay.core.responses.record import Done, end, finish, lock_live, start, write_step
from assay.core.responses.types import ContextItem, ResponseStatus, Spent, StepKind
from assay.core.tools.types import HandedBack, McpCall, Toolset
from assay.db.session import transaction
from assay.gateway.errors import ContextLengthError, ProviderError
from assay.gateway.generation import Generation, resolve_generation
from assay.gateway.types import Message, ModelReply, ModelRequest, ToolCall
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError

DEFAULT_COMPACT_THRESHOLD = 100_000
_COMPACT = (
    "Summarise the conversation so far for yourself, so that you can go on without it: the user's goals, decisions, "
    "facts, results of tools, and what is left to do. Be complete and brief."
)
_GENERATION = (
    "instructions",
    "temperature",
    "top_p",
    "min_p",
    "top_k",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "stop",
    "do_sample",
    "reasoning",
    "text",
    "extra_body",
    "chat_template_kwargs",
    "prefill_think",
    "tool_choice",
)
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class Turned:
    """What a turn leads to."""

    over: bool = False
    """The response has ended."""
    compact: bool = False
    """The context is to be summarised first, then the same turn taken."""
    first: int = 0
    """Number of the first step that the turn asks for."""
    count: int = 0
    parallel: bool = True
    last: bool = False
    """No turn follows: others have to answer what it called."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """What a model is to be asked."""

    models: Sequence[str]
    model_number: int
    messages: list[Message]
    generation: Generation
    toolset: Toolset
    project_id: UUID
    truncate: bool


@dataclass(frozen=True, slots=True)
class _Said:
    reply: ModelReply
    model_number: int


async def take_turn(engine: Engine, response_id: UUID, turn: int) -> Turned:
    """Take a model turn, or say what came of it when it was taken before.

    Args:
        engine: What it is carried out with.
        response_id: The response.
        turn: Its number, from 0.
    """
    started_at = utc_now()
    async with transaction(engine.sessions) as session:
        row = await lock_live(session, response_id)
        if row is None:
            return Turned(over=True)
        if row.turns > turn:
            return await _recall(session, row, turn)
        limits = engine.limits(row)
        if (reason := _spent_limit(row, limits)) is not None:
            await end(session, row, ResponseStatus.INCOMPLETE, render=engine.render, reason=reason)
            return Turned(over=True)
        try:
            toolset = engine.with_listed(engine.parse(row), await repository.list_steps(session, response_id))
            items = await engine.read_context(session, row)
            ask = _ask(row, to_messages(items), toolset)
        except DomainError as error:
            await engine.fail_row(session, row, error)
            return Turned(over=True)
        if _needs_compaction(row, items, ask.messages):
            return Turned(compact=True)
    try:
        said = await _converse(engine, ask)
    except DomainError as error:
        await engine.fail(response_id, {"code": error.code, "message": error.message})
        return Turned(over=True)
    return await _write(engine, response_id, turn, ask, said, started_at)


async def compact(engine: Engine, response_id: UUID) -> None:
    """Let the model summarise its context, which the summary replaces."""
    started_at = utc_now()
    async with transaction(engine.sessions) as session:
        row = await lock_live(session, response_id)
        if row is None:
            return
        items = await engine.read_context(session, row)
        ask = _ask(row, [*to_messages(items), Message("user", _COMPACT)], Toolset())
        if not _needs_compaction(row, items, ask.messages[:-1]):
            return
        count = row.item_count
    try:
        said = await _converse(engine, ask)
    except DomainError as error:
        await engine.fail(response_id, {"code": error.code, "message": error.message})
        return
    async with transaction(engine.sessions) as session:
        row = await lock_live(session, response_id)
        if row is None or row.item_count != count:
            return
        item = {"type": "compaction", "id": item_id("compaction"), "content": said.reply.text}
        done = Done(
            key=f"compaction/{count}",
            kind=StepKind.COMPACTION,
            started_at=started_at,
            items=[item],
            spent=_spent(said.reply),
        )
        await write_step(session, row, done, render=engine.render)


async def _recall(session: AsyncSession, row: ResponseRow, turn: int) -> Turned:
    steps = [step for step in await repository.list_steps(session, row.id) if step.turn == turn]
    taken = next(step for step in steps if step.kind == StepKind.MODEL_TURN.value)
    calls = [step.number for step in steps if step.kind == StepKind.TOOL_CALL.value]
    result: Mapping[str, Any] = taken.result or {}
    return Turned(
        first=min(calls, default=0), count=len(calls), parallel=bool(result["parallel"]), last=bool(result["last"])
    )


def _spent_limit(row: ResponseRow, limits: RunLimits) -> str | None:
    """The limit that a response has reached."""
    tokens = (row.input_tokens or 0) + (row.output_tokens or 0)
    most: int | None = row.settings.get("max_output_tokens")
    age = (utc_now() - row.started_at).total_seconds() if row.started_at else 0.0
    if row.turns >= limits.max_turns:
        return "max_turns"
    if most is not None and (row.output_tokens or 0) >= most:
        return "max_output_tokens"
    if tokens >= limits.max_tokens:
        return "max_tokens"
    if limits.max_cost_usd is not None and (row.cost_usd or 0) >= limits.max_cost_usd:
        return "max_cost"
    return "max_seconds" if age >= limits.max_seconds else None


def _ask(row: ResponseRow, messages: list[Message], toolset: Toolset) -> _Ask:
    settings: Mapping[str, Any] = row.settings
    wanted = {name: settings[name] for name in _GENERATION if settings.get(name) is not None}
    choice = wanted.pop("tool_choice", None)
    if toolset.tools:
        wanted["tools"] = [dict(tool.spec) for tool in toolset.tools]
        # A tool that is forced is forced once, or the loop would never reach an answer.
        if choice is not None and (row.turns == 0 or choice in ("none", "auto")):
            wanted["tool_choice"] = choice
        if settings.get("parallel_tool_calls") is False:
            wanted["parallel_tool_calls"] = False
    most = settings.get("max_output_tokens")
    if most is not None:
        wanted["max_output_tokens"] = max(1, most - (row.output_tokens or 0))
    if _is_plain(wanted.get("text")):
        wanted.pop("text", None)
    return _Ask(
        models=(row.model, *(settings.get("fallback_models") or ())),
        model_number=row.model_number,
        messages=messages,
        generation=resolve_generation(wanted),
        toolset=toolset,
        project_id=row.project_id,
        truncate=settings.get("truncation") == "auto",
    )


def _is_plain(text: Mapping[str, Any] | None) -> bool:
    """Whether text options say nothing but the default, which servers without them need not be told."""
    if text is None:
        return False
    form = text.get("format") or {"type": "text"}
    return form.get("type") == "text" and not text.get("verbosity")


def _needs_compaction(row: ResponseRow, items: Sequence[ContextItem], messages: Sequence[Message]) -> bool:
    strategies: Sequence[Mapping[str, Any]] = row.settings.get("context_management") or ()
    rule = next((one for one in strategies if one.get("type") == "compaction"), None)
    if rule is None or (items and items[0].item["type"] == "compaction" and _fresh(items)):
        return False
    return count_context_tokens(messages) > (rule.get("compact_threshold") or DEFAULT_COMPACT_THRESHOLD)


def _fresh(items: Sequence[ContextItem]) -> bool:
    """Whether nothing but the question follows a summary: summing up again would gain nothing."""
    return all(entry.turn is None for entry in items[1:])


async def _converse(engine: Engine, ask: _Ask) -> _Said:
    """Ask the models in their order, the one that answered last first.

    Raises:
        DomainError: None of them gave a reply.
    """
    fault: DomainError | None = None
    for number in range(ask.model_number, len(ask.models)):
        try:
            return _Said(await _ask_one(engine, ask, ask.models[number]), number)
        except ProviderError as error:
            fault = error
    assert fault is not None
    raise fault


async def _ask_one(engine: Engine, ask: _Ask, model: str) -> ModelReply:
    messages = ask.messages
    while True:
        request = ModelRequest(model, tuple(messages), ask.generation, project_id=ask.project_id)
        try:
            return await engine.gateway.respond(request)
        except ContextLengthError:
            shorter = _without_oldest(messages) if ask.truncate else messages
            if len(shorter) == len(messages):
                raise
            messages = shorter


def _without_oldest(messages: list[Message]) -> list[Message]:
    """Half of the messages, the later one, beginning where a user speaks; all of them when that is not possible."""
    starts = [place for place, message in enumerate(messages) if message.role == "user" and place > 0]
    if not starts:
        return messages
    return messages[next((place for place in starts if place >= len(messages) // 2), starts[-1]) :]


async def _write(engine: Engine, response_id: UUID, turn: int, ask: _Ask, said: _Said, started_at: datetime) -> Turned:
    reply = said.reply
    plan = _plan(ask.toolset, reply)
    async with transaction(engine.sessions) as session:
        row = await lock_live(session, response_id)
        if row is None:
            return Turned(over=True)
        if row.turns > turn:
            return await _recall(session, row, turn)
        row.model_number = said.model_number
        row.resolved_model, row.resolved_provider = reply.model, reply.provider
        parallel = row.settings.get("parallel_tool_calls") is not False
        too_many = row.tool_calls + len(plan.calls) > engine.limits(row).max_tool_calls
        step = repository.new_step(row, StepKind.MODEL_TURN.value, {}, turn=turn)
        start(step)
        finish(step, {"parallel": parallel, "last": plan.last, "finish_reason": reply.finish_reason})
        step.started_at = started_at
        session.add(step)
        first = row.step_count
        if not too_many:
            for call in plan.calls:
                session.add(repository.new_step(row, StepKind.TOOL_CALL.value, call, turn=turn))
        done = Done(
            key=f"turn/{turn}",
            kind=StepKind.MODEL_TURN,
            started_at=started_at,
            items=plan.items,
            turn=turn,
            spent=_spent(reply),
        )
        await write_step(session, row, done, render=engine.render)
        for request in plan.approvals:
            await _ask_approval(session, row, request)
        status, reason = _ending(plan, reply, too_many=too_many)
        if status is not None:
            await end(session, row, status, render=engine.render, reason=reason)
            return Turned(over=True)
        return Turned(first=first, count=len(plan.calls), parallel=parallel, last=plan.last)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a reply means: items, calls to be carried out, requests for approval."""

    items: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    approvals: list[dict[str, Any]]
    last: bool


def _plan(toolset: Toolset, reply: ModelReply) -> _Plan:
    plan = _Plan([], [], [], last=False)
    last = False
    if reply.reasoning:
        summary = [{"type": "summary_text", "text": _clean(reply.reasoning)}]
        plan.items.append({"type": "reasoning", "id": item_id("reasoning"), "summary": summary})
    if reply.text or not reply.tool_calls:
        plan.items.append(_message(_clean(reply.text)))
    for index, call in enumerate(reply.tool_calls):
        tool = toolset.find(call.name)
        execution = None if tool is None else tool.execution
        arguments = _clean(call.arguments)
        if isinstance(execution, McpCall) and execution.needs_approval:
            request = _approval_request(execution, call, arguments)
            plan.items.append(request)
            plan.approvals.append(request)
            last = True
            continue
        if not isinstance(execution, McpCall):
            plan.items.append(
                {
                    "type": "function_call",
                    "id": item_id("function_call"),
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": arguments,
                    "status": "completed",
                    CALL_INDEX: index,
                }
            )
        if isinstance(execution, HandedBack):
            last = True
        else:
            plan.calls.append({"call_id": call.id, "name": call.name, "arguments": arguments, CALL_INDEX: index})
    return _Plan(plan.items, plan.calls, plan.approvals, last)


def _approval_request(execution: McpCall, call: ToolCall, arguments: str) -> dict[str, Any]:
    return {
        "type": "mcp_approval_request",
        "id": item_id("mcp_approval_request"),
        "server_label": execution.server.label,
        "name": execution.tool.name,
        "arguments": arguments,
        "function_name": call.name,
    }


async def _ask_approval(session: AsyncSession, row: ResponseRow, request: Mapping[str, Any]) -> None:
    if row.run_id is not None:
        call = {name: request[name] for name in ("server_label", "name", "arguments")}
        await ask_approval(session, run_id=row.run_id, request_id=request["id"], call=call)


def _ending(plan: _Plan, reply: ModelReply, *, too_many: bool) -> tuple[ResponseStatus | None, str | None]:
    if too_many:
        return ResponseStatus.INCOMPLETE, "max_tool_calls"
    if plan.calls:
        return None, None
    reason = None if plan.last else _INCOMPLETE.get(reply.finish_reason or "")
    return (ResponseStatus.COMPLETED, None) if reason is None else (ResponseStatus.INCOMPLETE, reason)


def _message(text: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": item_id("message"),
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def _spent(reply: ModelReply) -> Spent:
    usage = reply.usage
    return Spent(usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens, reply.cost_usd)


def _clean(text: str) -> str:
    """The text as PostgreSQL can keep it."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode()
