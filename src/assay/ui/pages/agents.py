"""Agents: the list, one with its versions, runs and schedules, and one run step by step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from starlette.responses import Response

from assay.core.agents import runs, schedules, service
from assay.core.agents.starting import create_run
from assay.core.agents.types import AgentChanges, AgentConfiguration, AgentRun, NewAgentSchedule, NewRun, RunStep
from assay.core.projects.types import Scope
from assay.db.paging import OffsetPage, Order
from assay.kit.errors import DomainError
from assay.ui.charts import Span
from assay.ui.diffing import diff_lines
from assay.ui.edge import FieldError, Pages, Visit
from assay.ui.pages.datasets import read_offset
from assay.ui.pages.runs import list_model_ids, read_count

PAGE = 40
pages = Pages()


@dataclass(frozen=True, slots=True)
class StepShown:
    """A step of a run, as pages show it."""

    step: RunStep
    title: str
    seconds: float


@pages.get("/agents", Scope.AGENTS_READ)
async def list_agents(visit: Visit) -> Response:
    """Agents, newest first."""
    offset = read_offset(visit)
    page = await service.list_agents(
        visit.session, visit.principal, deleted=visit.query("deleted") == "1", page=OffsetPage(offset, PAGE, Order.DESC)
    )
    return await visit.render(
        "agents.html",
        agents=page.items,
        has_more=page.has_more,
        offset=offset,
        page=PAGE,
        deleted=visit.query("deleted") == "1",
    )


@pages.get("/agents/new", Scope.AGENTS_WRITE)
async def ask_for_agent(visit: Visit) -> Response:
    """The form for a new agent."""
    return await _show_form(visit, {})


@pages.post("/agents", Scope.AGENTS_WRITE)
async def create_agent(visit: Visit) -> Response:
    """Make an agent."""
    try:
        values = _read_values(visit)
        async with visit.session.begin_nested():
            agent = await service.create_agent(
                visit.session,
                visit.principal,
                configuration=AgentConfiguration(**values),
                sealer=visit.state.agents.sealer,
            )
    except DomainError as error:
        return await _show_form(visit, _texts(visit), error=error)
    return visit.go(f"/agents/{agent.id.hex}", f"{agent.configuration.name} is made.")


@pages.get("/agents/{agent_id}", Scope.AGENTS_READ)
async def show_agent(visit: Visit) -> Response:
    """One agent with its versions, runs and schedules."""
    agent = await service.get_agent(visit.session, visit.principal, agent_id=visit.path_id("agent_id"))
    versions = await service.list_versions(
        visit.session, visit.principal, agent_id=agent.id, page=OffsetPage(0, 30, Order.DESC)
    )
    offset = read_offset(visit)
    found = await runs.list_runs(
        visit.session, visit.principal, agent_id=agent.id, page=OffsetPage(offset, PAGE, Order.DESC)
    )
    planned = await schedules.list_schedules(
        visit.session, visit.principal, agent_id=agent.id, page=OffsetPage(0, 30, Order.DESC)
    )
    return await visit.render(
        "agent.html",
        agent=agent,
        versions=versions.items,
        runs=found.items,
        has_more=found.has_more,
        offset=offset,
        page=PAGE,
        schedules=planned.items,
    )


@pages.get("/agents/{agent_id}/edit", Scope.AGENTS_WRITE)
async def ask_for_changes(visit: Visit) -> Response:
    """The form with what the agent is now."""
    agent = await service.get_agent(visit.session, visit.principal, agent_id=visit.path_id("agent_id"))
    configuration = agent.configuration
    values = {
        "name": configuration.name,
        "model": configuration.model,
        "description": configuration.description or "",
        "instructions": configuration.instructions or "",
        "tools": json.dumps(list(configuration.tools), indent=2, ensure_ascii=False) if configuration.tools else "",
    }
    return await _show_form(visit, values, agent_id=agent.id.hex)


@pages.post("/agents/{agent_id}", Scope.AGENTS_WRITE)
async def update_agent(visit: Visit) -> Response:
    """Change an agent, which makes a version."""
    agent_id = visit.path_id("agent_id")
    try:
        changes = AgentChanges(**_read_values(visit))
        async with visit.session.begin_nested():
            agent = await service.update_agent(
                visit.session,
                visit.principal,
                agent_id=agent_id,
                changes=changes,
                sealer=visit.state.agents.sealer,
            )
    except DomainError as error:
        return await _show_form(visit, _texts(visit), agent_id=agent_id.hex, error=error)
    return visit.go(f"/agents/{agent_id.hex}", f"Version {agent.version} is current.")


@pages.post("/agents/{agent_id}/delete", Scope.AGENTS_WRITE)
async def delete_agent(visit: Visit) -> Response:
    """Delete an agent; it can be restored for a while."""
    await service.delete_agent(
        visit.session, visit.principal, agent_id=visit.path_id("agent_id"), policy=visit.state.agents.policy
    )
    return visit.go("/agents?deleted=1", "The agent is deleted. It can be restored for a while.")


@pages.post("/agents/{agent_id}/restore", Scope.AGENTS_WRITE)
async def restore_agent(visit: Visit) -> Response:
    """Bring a deleted agent back."""
    agent_id = visit.path_id("agent_id")
    await service.restore_agent(visit.session, visit.principal, agent_id=agent_id)
    return visit.go(f"/agents/{agent_id.hex}", "The agent is back; its schedules stay paused.")


@pages.post("/agents/{agent_id}/rollback", Scope.AGENTS_WRITE)
async def roll_back(visit: Visit) -> Response:
    """Make an earlier version current again."""
    agent_id, number = visit.path_id("agent_id"), read_count(visit, "number")
    if number is None:
        raise FieldError("Say to which version.", param="number")
    await service.rollback_agent(visit.session, visit.principal, agent_id=agent_id, number=number)
    return visit.go(f"/agents/{agent_id.hex}", f"Version {number} is current again.")


@pages.get("/agents/{agent_id}/diff", Scope.AGENTS_READ)
async def show_difference(visit: Visit) -> Response:
    """What changed from the version before."""
    agent = await service.get_agent(visit.session, visit.principal, agent_id=visit.path_id("agent_id"))
    text = visit.query("version") or ""
    number = int(text) if text.isascii() and text.isdecimal() else agent.version
    texts: list[str] = []
    for one in (max(1, number - 1), number):
        version = await service.get_version(visit.session, visit.principal, agent_id=agent.id, number=one)
        texts.append(_write(version.configuration))
    return await visit.render("agent_diff.html", agent=agent, number=number, lines=diff_lines(*texts))


@pages.post("/agents/{agent_id}/runs", Scope.AGENTS_WRITE)
async def start_run(visit: Visit) -> Response:
    """Run an agent."""
    agent_id = visit.path_id("agent_id")
    if not visit.field("input"):
        raise FieldError("Say what the agent is to do.", param="input")
    run = await create_run(
        visit.session,
        visit.principal,
        agent_id=agent_id,
        new=NewRun(input=visit.field("input")),
        policy=visit.state.agents.policy,
    )
    return visit.go(f"/agents/{agent_id.hex}/runs/{run.id.hex}")


@pages.get("/agents/{agent_id}/runs/{run_id}", Scope.AGENTS_READ)
async def show_run(visit: Visit) -> Response:
    """One run: what the agent did, as a timeline and step by step."""
    agent = await service.get_agent(visit.session, visit.principal, agent_id=visit.path_id("agent_id"))
    return await visit.render("agent_run.html", agent=agent, **await _describe(visit))


@pages.get("/agents/{agent_id}/runs/{run_id}/live", Scope.AGENTS_READ)
async def show_progress(visit: Visit) -> Response:
    """The part of a run's page that moves."""
    return visit.fragment("agent_run_live.html", **await _describe(visit))


@pages.post("/agents/{agent_id}/runs/{run_id}/cancel", Scope.AGENTS_WRITE)
async def cancel_run(visit: Visit) -> Response:
    """Cancel a run."""
    agent_id, run_id = visit.path_id("agent_id"), visit.path_id("run_id")
    await runs.cancel_run(visit.session, visit.principal, agent_id=agent_id, run_id=run_id)
    return visit.go(f"/agents/{agent_id.hex}/runs/{run_id.hex}", "The run is cancelled.")


@pages.post("/agents/{agent_id}/schedules", Scope.AGENTS_WRITE)
async def create_schedule(visit: Visit) -> Response:
    """Run an agent again and again."""
    agent_id = visit.path_id("agent_id")
    spec = {"type": "cron", "cron_expression": visit.field("cron"), "timezone": visit.field("timezone") or "UTC"}
    new = NewAgentSchedule(spec=spec, input=visit.field("input"), name=visit.optional("name"))
    await schedules.create_schedule(visit.session, visit.principal, agent_id=agent_id, new=new)
    return visit.go(f"/agents/{agent_id.hex}", "The schedule is on.")


@pages.post("/agents/{agent_id}/schedules/{schedule_id}", Scope.AGENTS_WRITE)
async def change_schedule(visit: Visit) -> Response:
    """Pause, resume or delete a schedule."""
    agent_id, schedule_id = visit.path_id("agent_id"), visit.path_id("schedule_id")
    wanted = visit.field("wanted")
    change = {"pause": schedules.pause_schedule, "resume": schedules.resume_schedule}.get(
        wanted, schedules.delete_schedule
    )
    await change(visit.session, visit.principal, agent_id=agent_id, schedule_id=schedule_id)
    told = {"pause": "paused", "resume": "on again"}.get(wanted, "deleted")
    return visit.go(f"/agents/{agent_id.hex}", f"The schedule is {told}.")


async def _describe(visit: Visit) -> dict[str, Any]:
    agent_id, run_id = visit.path_id("agent_id"), visit.path_id("run_id")
    run = await runs.get_run(visit.session, visit.principal, agent_id=agent_id, run_id=run_id)
    steps = await runs.list_steps(visit.session, visit.principal, agent_id=agent_id, run_id=run_id)
    shown = [StepShown(step, _title(step), (step.finished_at - step.started_at).total_seconds()) for step in steps]
    return {"run": run, "steps": shown, "spans": _spans(run, shown), "answer": _answer(run)}


def _spans(run: AgentRun, steps: Sequence[StepShown]) -> list[Span]:
    first = run.started_at or run.created_at
    tones = {"model_turn": "main", "tool_call": "warn"}
    return [
        Span(
            one.title,
            max(0.0, (one.step.started_at - first).total_seconds()),
            max(0.0, (one.step.finished_at - first).total_seconds()),
            tones.get(one.step.kind.value, "off"),
        )
        for one in steps
    ]


def _title(step: RunStep) -> str:
    names = [str(item["name"]) for item in step.items if item.get("name")]
    kind = step.kind.value.replace("_", " ")
    return f"{kind}: {names[0]}" if names else kind


def _answer(run: AgentRun) -> str:
    output = cast("Sequence[Mapping[str, Any]]", (run.response or {}).get("output") or ())
    texts: list[str] = []
    for item in output:
        for part in cast("Sequence[Mapping[str, Any]]", item.get("content") or ()):
            if item.get("type") == "message" and isinstance(part.get("text"), str):
                texts.append(part["text"])
    return "\n".join(texts)


async def _show_form(
    visit: Visit, values: Mapping[str, str], *, agent_id: str | None = None, error: DomainError | None = None
) -> Response:
    return await visit.render(
        "agent_form.html",
        status=200 if error is None else 422,
        values=values,
        agent_id=agent_id,
        models=list_model_ids(visit),
        error=error,
    )


def _read_values(visit: Visit) -> dict[str, Any]:
    text = visit.field("tools")
    try:
        tools: Any = json.loads(text) if text else []
    except (ValueError, RecursionError) as error:
        raise FieldError(f"`tools` is no JSON: {error}", param="tools") from error
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in cast("list[Any]", tools)):
        raise FieldError("`tools` must be a list of objects.", param="tools")
    return {
        "name": visit.field("name"),
        "model": visit.field("model"),
        "description": visit.optional("description"),
        "instructions": visit.optional("instructions"),
        "tools": cast("list[Any]", tools),
    }


def _write(configuration: AgentConfiguration) -> str:
    shown = {
        "name": configuration.name,
        "model": configuration.model,
        "description": configuration.description,
        "tools": list(configuration.tools),
        "metadata": dict(configuration.metadata),
    }
    return f"{configuration.instructions or ''}\n\n{json.dumps(shown, indent=2, ensure_ascii=False)}"


def _texts(visit: Visit) -> dict[str, str]:
    return {name: value for name, value in visit.form.items() if isinstance(value, str)}
