"""Agents, prompts and suggestions (O§2.3, O§2.6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.jobs.errors import ProjectMismatchError
from assay.core.projects.types import Principal
from assay.core.targets import service
from assay.core.targets.models import SuggestionRow, TargetAgentRow, TargetPromptRow
from assay.core.targets.types import SuggestionStatus
from assay.db.listing import Comparison, Filter, ListQuery
from assay.dialects.overmind.collection import Collection, Models, UseCases
from assay.dialects.overmind.mapping import (
    AGENT_NAMES,
    PROMPT_NAMES,
    SUGGESTION_NAMES,
    render_agent,
    render_agent_row,
    render_eval_spec,
    render_prompt,
    render_suggestion,
)
from assay.dialects.overmind.people import Numbers, load_numbers
from assay.dialects.overmind.query import (
    Filters,
    choice_of,
    integer_of,
    read_query,
    read_slice,
    render_page,
    text_of,
    uuid_of,
)
from assay.dialects.overmind.route import JobReader, Resource, Session, read_id
from assay.dialects.overmind.wire.base import Page, sent
from assay.dialects.overmind.wire.targets import (
    Agent,
    AgentInput,
    AgentListRow,
    AgentPatch,
    EvalSpec,
    Prompt,
    PromptInput,
    PromptPatch,
    Suggestion,
    SuggestionInput,
    SuggestionPatch,
)

AGENT_FILTERS = Filters(
    parameters={
        "project": uuid_of("project"),
        "slug": text_of("slug"),
        "name": text_of("name", Comparison.CONTAINS),
        "model": text_of("model"),
        "status": text_of("status"),
    },
    order=("name", "slug", "created_at", "updated_at", "status", "model", "dataset_size"),
)
PROMPT_FILTERS = Filters(
    parameters={
        "agent": uuid_of("agent"),
        "iteration": uuid_of("iteration"),
        "model": text_of("model"),
        "version": integer_of("version"),
    },
    order=("created_at", "version", "label", "model"),
)
SUGGESTION_FILTERS = Filters(
    parameters={
        "agent": uuid_of("agent"),
        "job": uuid_of("job"),
        "iteration": uuid_of("iteration"),
        "status": choice_of("status", SuggestionStatus),
        "change_type": text_of("change_type"),
    },
    order=("created_at", "updated_at", "status", "title"),
)
Row = TypeVar("Row", TargetAgentRow, TargetPromptRow, SuggestionRow)
Render = Callable[[Row, Numbers], BaseModel]


async def _agent_values(session: AsyncSession, principal: Principal, wire: AgentInput) -> dict[str, Any]:
    values = sent(wire, AGENT_NAMES)
    project = values.pop("project_id", None)
    if project not in (None, principal.project_id):
        raise ProjectMismatchError(project)
    return values


def _named(names: Mapping[str, str]) -> Callable[[AsyncSession, Principal, BaseModel], Awaitable[dict[str, Any]]]:
    async def values(session: AsyncSession, principal: Principal, wire: BaseModel) -> dict[str, Any]:
        return sent(wire, names)

    return values


def _renderers(render: Render[Row], render_row: Render[Row] | None = None) -> tuple[Any, Any]:
    async def rows(session: AsyncSession, principal: Principal, found: Sequence[Row]) -> list[BaseModel]:
        numbers = await load_numbers(session, principal, (row.created_by for row in found))
        return [(render_row or render)(row, numbers) for row in found]

    async def one(session: AsyncSession, principal: Principal, row: Row) -> BaseModel:
        return render(row, await load_numbers(session, principal, [row.created_by]))

    return rows, one


agents = Resource(tag="agents")
prompts = Resource(tag="prompts")
suggestions = Resource(tag="suggestions")

_agent_rows, _agent = _renderers(render_agent, render_agent_row)
_prompt_rows, _prompt = _renderers(render_prompt)
_suggestion_rows, _suggestion = _renderers(render_suggestion)

Collection(
    path="/agents",
    name="agents",
    models=Models(AgentInput, AgentPatch, AgentListRow, Agent),
    cases=UseCases(
        service.create_agent, service.find_agent, service.update_agent, service.delete_agent, service.list_agents
    ),
    filters=AGENT_FILTERS,
    values=_agent_values,
    render_rows=_agent_rows,
    render=_agent,
).publish(agents)
Collection(
    path="/prompts",
    name="prompts",
    models=Models(PromptInput, PromptPatch, Prompt, Prompt),
    cases=UseCases(
        service.create_prompt, service.find_prompt, service.update_prompt, service.delete_prompt, service.list_prompts
    ),
    filters=PROMPT_FILTERS,
    values=_named(PROMPT_NAMES),
    render_rows=_prompt_rows,
    render=_prompt,
).publish(prompts)
Collection(
    path="/suggestions",
    name="suggestions",
    models=Models(SuggestionInput, SuggestionPatch, Suggestion, Suggestion),
    cases=UseCases(
        service.create_suggestion,
        service.find_suggestion,
        service.update_suggestion,
        service.delete_suggestion,
        service.list_suggestions,
    ),
    filters=SUGGESTION_FILTERS,
    values=_named(SUGGESTION_NAMES),
    render_rows=_suggestion_rows,
    render=_suggestion,
).publish(suggestions)


async def get_eval_spec(row_id: str, session: Session, principal: JobReader) -> EvalSpec:
    """What an agent's answers are judged by."""
    return render_eval_spec(await service.find_agent(session, principal, read_id(row_id)))


async def list_agent_prompts(row_id: str, request: Request, session: Session, principal: JobReader) -> Any:
    """An agent's prompts, newest first."""
    agent = await service.find_agent(session, principal, read_id(row_id))
    part, asked = read_slice(request), read_query(request, PROMPT_FILTERS)
    query = ListQuery([*asked.filters, Filter("agent", Comparison.EQUALS, agent.id)], asked.terms, asked.order)
    found = await service.list_prompts(session, principal, query, part)
    return render_page(request, part, found.count, await _prompt_rows(session, principal, found.rows))


agents.add("GET", "/agents/{row_id}/eval_spec/", get_eval_spec, name="agents_eval_spec", gives=EvalSpec)
agents.add(
    "GET",
    "/agents/{row_id}/prompts/",
    list_agent_prompts,
    name="agents_prompts",
    gives=Page[Prompt],
    filters=PROMPT_FILTERS,
)
