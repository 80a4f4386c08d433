"""Use cases of agents, their prompts and suggestions. Dataset versions are in ``versions``.

``values`` always are the fields that a caller named, in the core's words; fields that are not named stay as they are.
Rows that are changed are locked first, and only the columns that changed are written, so writers of different
columns do not undo each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ScalarSelect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.ownership import OwnerColumns, owner_columns
from assay.core.projects.types import Principal, Scope
from assay.core.targets import repository
from assay.core.targets.errors import DuplicateSlugError, TargetNotFoundError, UnknownReferenceError
from assay.core.targets.models import SuggestionRow, TargetAgentRow, TargetPromptRow
from assay.db.listing import ListQuery
from assay.db.slices import Counted, Slice
from assay.kit.clock import utc_now

Row = TypeVar("Row", TargetAgentRow, TargetPromptRow, SuggestionRow)

_NAMES: Mapping[type, str] = {TargetAgentRow: "Agent", TargetPromptRow: "Prompt", SuggestionRow: "Suggestion"}


async def create_agent(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> TargetAgentRow:
    """Make an agent.

    Args:
        session: A session inside a transaction.
        principal: Whose it will be.
        values: With ``name`` and ``slug``.

    Raises:
        DuplicateSlugError: Another agent of the project has the slug.
        UnknownReferenceError: ``active_dataset_id`` names no dataset of the caller.
    """
    principal.require(Scope.JOB_WRITE)
    row = TargetAgentRow(**owner_columns(principal))
    await _check_dataset(session, principal, values)
    _apply(row, values)
    await _check_slug(session, principal, row)
    return await _add(session, row)


async def update_agent(
    session: AsyncSession, principal: Principal, agent_id: UUID, values: Mapping[str, Any]
) -> TargetAgentRow:
    """Change an agent.

    Raises:
        TargetNotFoundError, DuplicateSlugError, UnknownReferenceError: As for a new one.
    """
    principal.require(Scope.JOB_WRITE)
    row = await _get(session, principal, TargetAgentRow, agent_id, lock=True)
    await _check_dataset(session, principal, values)
    _apply(row, values)
    await _check_slug(session, principal, row)
    await _flush_agent(session)
    return row


async def find_agent(session: AsyncSession, principal: Principal, agent_id: UUID) -> TargetAgentRow:
    """An agent.

    Raises:
        TargetNotFoundError: The caller has no such agent, or it is deleted.
    """
    principal.require(Scope.JOB_READ)
    return await _get(session, principal, TargetAgentRow, agent_id)


async def list_agents(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[TargetAgentRow]:
    """The caller's agents."""
    principal.require(Scope.JOB_READ)
    return await repository.list_agents(session, principal, query, part)


async def delete_agent(session: AsyncSession, principal: Principal, agent_id: UUID) -> None:
    """Hide an agent; its jobs stay, its slug is free.

    Raises:
        TargetNotFoundError: The caller has no such agent.
    """
    await _delete(session, principal, TargetAgentRow, agent_id)


async def agents_by_id(
    session: AsyncSession, principal: Principal, agent_ids: Iterable[UUID | None]
) -> dict[UUID, TargetAgentRow]:
    """Agents of the caller's project by id, deleted ones too."""
    wanted = sorted({agent_id for agent_id in agent_ids if agent_id is not None})
    return await repository.agents_by_id(session, principal, wanted) if wanted else {}


def agent_text(agent_id: Any) -> ScalarSelect[str]:
    """For searching in rows that name agents: the name and the slug of the agent in a column."""
    return repository.agent_text(agent_id)


async def check_agent(session: AsyncSession, principal: Principal, agent_id: UUID) -> TargetAgentRow:
    """The agent that a body names.

    Raises:
        UnknownReferenceError: The caller has no such agent.
    """
    row = await repository.find(session, principal, TargetAgentRow, agent_id)
    if row is None:
        raise UnknownReferenceError("agent_id", agent_id)
    return row


async def create_prompt(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> TargetPromptRow:
    """Make a prompt; without ``version`` it gets the agent's next number.

    Raises:
        UnknownReferenceError: ``agent_id`` names no agent of the caller.
    """
    principal.require(Scope.JOB_WRITE)
    agent = await check_agent(session, principal, values["agent_id"])
    # Two prompts at once must not get one number.
    await session.refresh(agent, with_for_update=True)
    row = TargetPromptRow(**owner_columns(principal))
    _apply(row, values)
    if "version" not in values:
        row.version = await repository.next_prompt_version(session, agent.id)
    return await _add(session, row)


async def store_proposal(
    session: AsyncSession,
    owner: OwnerColumns,
    *,
    agent_id: UUID,
    prompt_id: UUID,
    suggestion_id: UUID,
    prompt: Mapping[str, Any],
    suggestion: Mapping[str, Any],
) -> int:
    """Keep a prompt that a job made, and the suggestion to take it up; once, whatever is stored under these ids.

    Args:
        session: A session inside a transaction.
        owner: Whose they will be.
        agent_id: Whose prompt it is.
        prompt_id: Its id, the same whenever the job makes it again.
        suggestion_id: Likewise.
        prompt: Columns of the prompt; it gets the agent's next number.
        suggestion: Columns of the suggestion.

    Returns:
        The prompt's number.
    """
    if (stored := await session.get(TargetPromptRow, prompt_id)) is not None:
        return stored.version
    await session.get(TargetAgentRow, agent_id, with_for_update=True)
    version = await repository.next_prompt_version(session, agent_id)
    session.add(TargetPromptRow(**owner, id=prompt_id, agent_id=agent_id, version=version, **prompt))
    session.add(SuggestionRow(**owner, id=suggestion_id, agent_id=agent_id, **suggestion))
    await session.flush()
    return version


async def update_prompt(
    session: AsyncSession, principal: Principal, prompt_id: UUID, values: Mapping[str, Any]
) -> TargetPromptRow:
    """Change a prompt.

    Raises:
        TargetNotFoundError: The caller has no such prompt.
        UnknownReferenceError: ``agent_id`` names no agent of the caller.
    """
    return await _update_child(session, principal, TargetPromptRow, prompt_id, values)


async def find_prompt(session: AsyncSession, principal: Principal, prompt_id: UUID) -> TargetPromptRow:
    """A prompt.

    Raises:
        TargetNotFoundError: The caller has no such prompt.
    """
    principal.require(Scope.JOB_READ)
    return await _get(session, principal, TargetPromptRow, prompt_id)


async def list_prompts(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[TargetPromptRow]:
    """The caller's prompts."""
    principal.require(Scope.JOB_READ)
    return await repository.list_prompts(session, principal, query, part)


async def delete_prompt(session: AsyncSession, principal: Principal, prompt_id: UUID) -> None:
    """Hide a prompt.

    Raises:
        TargetNotFoundError: The caller has no such prompt.
    """
    await _delete(session, principal, TargetPromptRow, prompt_id)


async def create_suggestion(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> SuggestionRow:
    """Make a suggestion.

    Raises:
        UnknownReferenceError: ``agent_id`` names no agent of the caller.
    """
    principal.require(Scope.JOB_WRITE)
    await check_agent(session, principal, values["agent_id"])
    row = SuggestionRow(**owner_columns(principal))
    _apply(row, values)
    return await _add(session, row)


async def update_suggestion(
    session: AsyncSession, principal: Principal, suggestion_id: UUID, values: Mapping[str, Any]
) -> SuggestionRow:
    """Change a suggestion.

    Raises:
        TargetNotFoundError: The caller has no such suggestion.
        UnknownReferenceError: ``agent_id`` names no agent of the caller.
    """
    return await _update_child(session, principal, SuggestionRow, suggestion_id, values)


async def find_suggestion(session: AsyncSession, principal: Principal, suggestion_id: UUID) -> SuggestionRow:
    """A suggestion.

    Raises:
        TargetNotFoundError: The caller has no such suggestion.
    """
    principal.require(Scope.JOB_READ)
    return await _get(session, principal, SuggestionRow, suggestion_id)


async def list_suggestions(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[SuggestionRow]:
    """The caller's suggestions."""
    principal.require(Scope.JOB_READ)
    return await repository.list_suggestions(session, principal, query, part)


async def delete_suggestion(session: AsyncSession, principal: Principal, suggestion_id: UUID) -> None:
    """Hide a suggestion.

    Raises:
        TargetNotFoundError: The caller has no such suggestion.
    """
    await _delete(session, principal, SuggestionRow, suggestion_id)


async def _update_child(
    session: AsyncSession, principal: Principal, model: type[Row], row_id: UUID, values: Mapping[str, Any]
) -> Row:
    principal.require(Scope.JOB_WRITE)
    row = await _get(session, principal, model, row_id, lock=True)
    if "agent_id" in values:
        await check_agent(session, principal, values["agent_id"])
    _apply(row, values)
    await session.flush()
    return row


async def _get(
    session: AsyncSession, principal: Principal, model: type[Row], row_id: UUID, *, lock: bool = False
) -> Row:
    row = await repository.find(session, principal, model, row_id, lock=lock)
    if row is None:
        raise TargetNotFoundError(_NAMES[model])
    return row


async def _delete(session: AsyncSession, principal: Principal, model: type[Row], row_id: UUID) -> None:
    principal.require(Scope.JOB_WRITE)
    row = await _get(session, principal, model, row_id, lock=True)
    row.deleted_at = utc_now()
    await session.flush()


def _apply(row: Row, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.updated_at = utc_now()


async def _add(session: AsyncSession, row: Row) -> Row:
    session.add(row)
    await _flush_agent(session)
    return row


async def _flush_agent(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        if "uq_target_agents_slug" not in str(error.orig):
            raise
        raise DuplicateSlugError from error


async def _check_slug(session: AsyncSession, principal: Principal, row: TargetAgentRow) -> None:
    """Refuse before the database does: a refused statement ends the transaction."""
    with session.no_autoflush:
        if await repository.slug_taken(session, principal.project_id, row.slug, but=row.id):
            raise DuplicateSlugError


async def _check_dataset(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> None:
    dataset_id = values.get("active_dataset_id")
    if dataset_id is not None and await repository.find_version(session, principal, dataset_id) is None:
        raise UnknownReferenceError("active_dataset_id", dataset_id)
