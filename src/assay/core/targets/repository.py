"""SQL of agents, prompts, dataset versions and suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.targets.models import DatasetVersionRow, SuggestionRow, TargetAgentRow, TargetPromptRow
from assay.db.listing import Columns, ListQuery, SortBy, list_rows
from assay.db.slices import Counted, Slice

_HIGHEST_VERSION = 2**63 - 1
"""What a column of 64 bits holds."""
Row = TypeVar("Row", TargetAgentRow, TargetPromptRow, SuggestionRow)

AGENT_COLUMNS: Columns = {
    name: getattr(TargetAgentRow, name)
    for name in ("id", "slug", "name", "model", "status", "agent_path", "created_at", "updated_at", "dataset_size")
} | {"project": TargetAgentRow.project_id}
PROMPT_COLUMNS: Columns = {
    name: getattr(TargetPromptRow, name) for name in ("id", "model", "version", "label", "created_at")
} | {"agent": TargetPromptRow.agent_id, "iteration": TargetPromptRow.iteration_id}
SUGGESTION_COLUMNS: Columns = {
    name: getattr(SuggestionRow, name) for name in ("id", "status", "change_type", "title", "created_at", "updated_at")
} | {"agent": SuggestionRow.agent_id, "job": SuggestionRow.job_id, "iteration": SuggestionRow.iteration_id}
VERSION_COLUMNS: Columns = {
    "id": DatasetRow.id,
    "name": DatasetRow.name,
    "created_at": DatasetRow.created_at,
    "agent": DatasetVersionRow.agent_id,
    "version": DatasetVersionRow.version,
    "source": DatasetVersionRow.origin,
    "generator_model": DatasetVersionRow.generator_model,
    "num_datapoints": DatasetVersionRow.size,
}


class DatasetVersion(NamedTuple):
    """A dataset and what makes it a version."""

    dataset: DatasetRow
    version: DatasetVersionRow


async def find(
    session: AsyncSession, principal: Principal, model: type[Row], row_id: UUID, *, lock: bool = False
) -> Row | None:
    """One row of the caller."""
    statement = select(model).where(model.id == row_id, visible_to(principal, model))
    if lock:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def slug_taken(session: AsyncSession, project_id: UUID, slug: str, *, but: UUID | None) -> bool:
    """Whether another living agent of the project has the slug."""
    agent = TargetAgentRow
    statement = select(agent.id).where(agent.project_id == project_id, agent.slug == slug, agent.deleted_at.is_(None))
    return await session.scalar(statement.where(agent.id != but) if but else statement) is not None


async def list_agents(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[TargetAgentRow]:
    """Agents, by name unless ordered otherwise."""
    agent = TargetAgentRow
    return await list_rows(
        session,
        select(agent).where(visible_to(principal, agent)),
        query,
        part,
        columns=AGENT_COLUMNS,
        searched=(agent.name, agent.slug, agent.description),
        otherwise=(SortBy("name"),),
    )


async def list_prompts(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[TargetPromptRow]:
    """Prompts, newest first unless ordered otherwise."""
    prompt = TargetPromptRow
    return await list_rows(
        session,
        select(prompt).where(visible_to(principal, prompt)),
        query,
        part,
        columns=PROMPT_COLUMNS,
        searched=(prompt.label, prompt.system_prompt, prompt.model),
        otherwise=(SortBy("created_at", descending=True),),
    )


async def list_suggestions(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[SuggestionRow]:
    """Suggestions, newest first unless ordered otherwise."""
    return await list_rows(
        session,
        select(SuggestionRow).where(visible_to(principal, SuggestionRow)),
        query,
        part,
        columns=SUGGESTION_COLUMNS,
        searched=(SuggestionRow.title, SuggestionRow.description),
        otherwise=(SortBy("created_at", descending=True),),
    )


async def next_prompt_version(session: AsyncSession, agent_id: UUID) -> int:
    """One more than the agent's highest. Clients may number prompts themselves, so the last number that fits may be
    there already; then there is no higher one, and it is given again.
    """
    prompt = TargetPromptRow
    countable = prompt.version < _HIGHEST_VERSION
    highest = await session.scalar(select(func.max(prompt.version)).where(prompt.agent_id == agent_id, countable))
    return (highest or 0) + 1


async def next_dataset_version(session: AsyncSession, agent_id: UUID) -> int:
    """One more than the agent's highest, deleted versions included: a number never names two things."""
    highest = await session.scalar(
        select(func.max(DatasetVersionRow.version)).where(DatasetVersionRow.agent_id == agent_id)
    )
    return (highest or 0) + 1


async def find_version(session: AsyncSession, principal: Principal, dataset_id: UUID) -> DatasetVersion | None:
    """A dataset of the caller that is a version of an agent's data."""
    found = await session.execute(
        _versions(principal).add_columns(DatasetVersionRow).where(DatasetRow.id == dataset_id)
    )
    row = found.one_or_none()
    return None if row is None else DatasetVersion(row[0], row[1])


async def list_versions(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[DatasetVersion]:
    """Versions, the highest number first unless ordered otherwise."""
    found = await list_rows(
        session,
        _versions(principal),
        query,
        part,
        columns=VERSION_COLUMNS,
        searched=(DatasetRow.name, DatasetVersionRow.generator_model),
        otherwise=(SortBy("version", descending=True),),
    )
    ids = [row.id for row in found.rows]
    versions = await session.scalars(select(DatasetVersionRow).where(DatasetVersionRow.dataset_id.in_(ids)))
    by_id = {version.dataset_id: version for version in versions}
    return Counted(found.count, [DatasetVersion(row, by_id[row.id]) for row in found.rows])


async def list_points(session: AsyncSession, dataset_id: UUID, part: Slice | None) -> Counted[DatasetItemRow]:
    """Items of a dataset in their order; those without a place come last, oldest first."""
    item = DatasetItemRow
    statement = select(item).where(item.dataset_id == dataset_id, item.deleted_at.is_(None))
    count = await session.scalar(select(func.count()).select_from(statement.subquery()))
    ordered = statement.order_by(item.position.asc().nulls_last(), item.created_at, item.id)
    if part is not None:
        ordered = ordered.limit(part.limit).offset(part.offset)
    return Counted(count or 0, (await session.scalars(ordered)).all())


async def agents_by_id(
    session: AsyncSession, principal: Principal, agent_ids: Sequence[UUID]
) -> dict[UUID, TargetAgentRow]:
    """Agents of the caller's project, deleted ones too: what they left behind still names them."""
    visible = visible_to(principal, TargetAgentRow, include_deleted=True)
    rows = await session.scalars(select(TargetAgentRow).where(TargetAgentRow.id.in_(agent_ids), visible))
    return {row.id: row for row in rows}


def agent_text(agent_id: Any) -> ScalarSelect[str]:
    """An agent's name and slug, as one text to be searched in a query on rows that name agents."""
    agent = TargetAgentRow
    return select(func.concat(agent.name, " ", agent.slug)).where(agent.id == agent_id).scalar_subquery()


def _versions(principal: Principal) -> Select[DatasetRow]:
    joined = select(DatasetRow).join(DatasetVersionRow, DatasetVersionRow.dataset_id == DatasetRow.id)
    living: ColumnElement[bool] = exists().where(
        TargetAgentRow.id == DatasetVersionRow.agent_id, TargetAgentRow.deleted_at.is_(None)
    )
    return joined.where(visible_to(principal, DatasetRow), living)
