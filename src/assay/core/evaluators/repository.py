"""SQL of evaluators and provider keys."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.models import EvaluationSettingsRow, EvaluatorRow, EvaluatorVersionRow, ProviderKeyRow
from assay.core.evaluators.rows import read_evaluator, read_version
from assay.core.evaluators.types import Evaluator, EvaluatorQuery, EvaluatorSort, EvaluatorVersion
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.db.slices import Counted, Slice, SortKey, count_rows, ordering, read_slice

_CURRENT = and_(EvaluatorVersionRow.evaluator_id == EvaluatorRow.id, EvaluatorVersionRow.number == EvaluatorRow.version)
_SORTS = {
    EvaluatorSort.CREATED_AT: EvaluatorRow.created_at,
    EvaluatorSort.UPDATED_AT: EvaluatorRow.updated_at,
    EvaluatorSort.NAME: EvaluatorRow.name,
}


def _with_version() -> Select[EvaluatorRow, UUID]:
    return select(EvaluatorRow, EvaluatorVersionRow.id).join(EvaluatorVersionRow, _CURRENT)


async def enabled_evaluators(session: AsyncSession, project_id: UUID) -> Sequence[Evaluator]:
    """The evaluators that judge a project's traffic, oldest first, whoever asks."""
    query = _with_version().where(
        EvaluatorRow.project_id == project_id, EvaluatorRow.enabled, EvaluatorRow.deleted_at.is_(None)
    )
    found = await session.execute(query.order_by(EvaluatorRow.created_at, EvaluatorRow.id))
    return [read_evaluator(row, version_id) for row, version_id in found]


async def find_versions(session: AsyncSession, version_ids: Sequence[UUID]) -> dict[UUID, EvaluatorVersion]:
    """Versions by their ids, whoever asks; unknown ids are not among them."""
    rows = await session.scalars(select(EvaluatorVersionRow).where(EvaluatorVersionRow.id.in_(version_ids)))
    return {row.id: read_version(row) for row in rows}


async def load_evaluators(session: AsyncSession, evaluator_ids: Sequence[UUID]) -> dict[UUID, Evaluator]:
    """Evaluators by their ids, deleted or not, whoever asks."""
    found = await session.execute(_with_version().where(EvaluatorRow.id.in_(evaluator_ids)))
    return {row.id: read_evaluator(row, version_id) for row, version_id in found}


async def find_evaluator(
    session: AsyncSession, principal: Principal, evaluator_id: UUID, *, include_deleted: bool = False
) -> Evaluator | None:
    """One evaluator of the caller."""
    visible = visible_to(principal, EvaluatorRow, include_deleted=include_deleted)
    found = (await session.execute(_with_version().where(EvaluatorRow.id == evaluator_id, visible))).one_or_none()
    return None if found is None else read_evaluator(*found)


async def lock_evaluator(session: AsyncSession, principal: Principal, evaluator_id: UUID) -> EvaluatorRow | None:
    """One evaluator of the caller, deleted or not, locked against other changes."""
    visible = visible_to(principal, EvaluatorRow, include_deleted=True)
    query = select(EvaluatorRow).where(EvaluatorRow.id == evaluator_id, visible).with_for_update()
    return await session.scalar(query)


async def list_evaluators(
    session: AsyncSession, principal: Principal, query: EvaluatorQuery, part: Slice
) -> Counted[Evaluator]:
    """The evaluators that match."""
    statement = _filtered(_with_version().where(visible_to(principal, EvaluatorRow)), query)
    count = await count_rows(session, statement)
    order = query.order or (SortKey(EvaluatorSort.CREATED_AT, descending=True),)
    keys = (ordering(_SORTS[EvaluatorSort(key.column)], key) for key in order)
    rows = await session.execute(statement.order_by(*keys, EvaluatorRow.id).limit(part.limit).offset(part.offset))
    return Counted(count, [read_evaluator(row, version_id) for row, version_id in rows])


def _filtered(statement: Select[EvaluatorRow, UUID], query: EvaluatorQuery) -> Select[EvaluatorRow, UUID]:
    if query.ids is not None:
        statement = statement.where(EvaluatorRow.id.in_(query.ids))
    if query.enabled is not None:
        statement = statement.where(EvaluatorRow.enabled == query.enabled)
    if query.kind is not None:
        statement = statement.where(EvaluatorRow.kind == query.kind.value)
    if query.directory_id is not None:
        statement = statement.where(EvaluatorRow.directory_id == query.directory_id)
    if query.has_directory is not None:
        missing = EvaluatorRow.directory_id.is_(None)
        statement = statement.where(~missing if query.has_directory else missing)
    if query.search:
        searched = (EvaluatorRow.name, EvaluatorRow.description)
        statement = statement.where(or_(*(column.icontains(query.search, autoescape=True) for column in searched)))
    return statement


async def find_version(session: AsyncSession, evaluator_id: UUID, digest: bytes) -> EvaluatorVersionRow | None:
    """The version of an evaluator with this definition."""
    query = select(EvaluatorVersionRow).where(
        EvaluatorVersionRow.evaluator_id == evaluator_id, EvaluatorVersionRow.digest == digest
    )
    return await session.scalar(query)


async def last_version_number(session: AsyncSession, evaluator_id: UUID) -> int:
    """Number of an evaluator's newest version; 0 when it has none."""
    newest = select(func.max(EvaluatorVersionRow.number)).where(EvaluatorVersionRow.evaluator_id == evaluator_id)
    return await session.scalar(newest) or 0


async def find_key(
    session: AsyncSession, project_id: UUID, key_id: UUID, *, include_deleted: bool = False
) -> ProviderKeyRow | None:
    """A key of a project, whoever asks."""
    query = select(ProviderKeyRow).where(ProviderKeyRow.id == key_id, ProviderKeyRow.project_id == project_id)
    return await session.scalar(query if include_deleted else query.where(ProviderKeyRow.deleted_at.is_(None)))


async def find_visible_key(
    session: AsyncSession, principal: Principal, key_id: UUID, *, lock: bool = False
) -> ProviderKeyRow | None:
    """One key of the caller."""
    query = select(ProviderKeyRow).where(ProviderKeyRow.id == key_id, visible_to(principal, ProviderKeyRow))
    return await session.scalar(query.with_for_update() if lock else query)


async def list_keys(session: AsyncSession, principal: Principal, part: Slice) -> Counted[ProviderKeyRow]:
    """The caller's keys, newest first."""
    statement = select(ProviderKeyRow).where(visible_to(principal, ProviderKeyRow))
    return await read_slice(session, statement.order_by(ProviderKeyRow.created_at.desc(), ProviderKeyRow.id), part)


async def key_names(session: AsyncSession, key_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Names of keys by their ids, whoever asks; deleted ones are not among them."""
    if not key_ids:
        return {}
    query = select(ProviderKeyRow.id, ProviderKeyRow.name).where(
        ProviderKeyRow.id.in_(key_ids), ProviderKeyRow.deleted_at.is_(None)
    )
    return {key_id: name for key_id, name in await session.execute(query)}


async def open_settings(session: AsyncSession, project_id: UUID) -> EvaluationSettingsRow:
    """A project's settings, made if they are not there yet."""
    await session.execute(insert(EvaluationSettingsRow).values(project_id=project_id).on_conflict_do_nothing())
    return await session.get_one(EvaluationSettingsRow, project_id)


async def find_active_key(session: AsyncSession, project_id: UUID) -> ProviderKeyRow | None:
    """The key that judges of a project use when they name none."""
    query = (
        select(ProviderKeyRow)
        .join(EvaluationSettingsRow, EvaluationSettingsRow.active_key_id == ProviderKeyRow.id)
        .where(EvaluationSettingsRow.project_id == project_id, ProviderKeyRow.deleted_at.is_(None))
    )
    return await session.scalar(query)


async def clear_active_key(session: AsyncSession, project_id: UUID, key_id: UUID) -> None:
    """Leave a project without an active key if this is the one."""
    await session.execute(
        update(EvaluationSettingsRow)
        .where(EvaluationSettingsRow.project_id == project_id, EvaluationSettingsRow.active_key_id == key_id)
        .values(active_key_id=None)
        .execution_options(synchronize_session="fetch")
    )
