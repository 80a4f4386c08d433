"""Use cases of dataset versions: datasets that belong to an agent and never change once they are made.

A version is a stored dataset, so every other API shows it too; its number and its agent are kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal, Scope
from assay.core.targets import repository
from assay.core.targets.errors import TargetNotFoundError
from assay.core.targets.models import DatasetVersionRow, TargetAgentRow
from assay.core.targets.repository import DatasetVersion
from assay.core.targets.service import check_agent
from assay.core.targets.types import DatasetOrigin
from assay.db.listing import Counted, ListQuery, Slice
from assay.kit.clock import utc_now

MAX_POINTS = 10_000


async def create_version(
    session: AsyncSession,
    principal: Principal,
    *,
    agent_id: UUID,
    points: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    activate: bool,
) -> DatasetVersion:
    """Make the next version of an agent's data.

    Args:
        session: A session inside a transaction.
        principal: Whose it will be.
        agent_id: Whose data it is.
        points: Each with some of ``position``, ``input``, ``expected``, ``persona`` and ``tags``.
        values: Some of ``name``, ``details``, ``origin``, ``generator_model`` and ``policy_hash``.
        activate: Let the agent's jobs use it.

    Raises:
        UnknownReferenceError: The caller has no such agent.
    """
    principal.require(Scope.DATASET_WRITE)
    agent = await check_agent(session, principal, agent_id)
    await session.refresh(agent, with_for_update=True)
    dataset = DatasetRow(**owner_columns(principal), name=values.get("name", ""), details=values.get("details"))
    session.add(dataset)
    await session.flush()
    version = DatasetVersionRow(
        dataset_id=dataset.id,
        agent_id=agent.id,
        version=await repository.next_dataset_version(session, agent.id),
        origin=values.get("origin", DatasetOrigin.SEED.value),
        generator_model=values.get("generator_model", ""),
        policy_hash=values.get("policy_hash", ""),
        size=len(points),
    )
    session.add(version)
    items = [_item(principal, dataset.id, number, point) for number, point in enumerate(points)]
    session.add_all(items)
    if activate:
        _activate(agent, dataset.id, items)
    await session.flush()
    return DatasetVersion(dataset, version)


async def activate_version(session: AsyncSession, principal: Principal, dataset_id: UUID) -> DatasetVersion:
    """Let the agent's jobs use this version.

    Raises:
        TargetNotFoundError: The caller has no such version.
    """
    principal.require(Scope.DATASET_WRITE)
    found = await _get(session, principal, dataset_id)
    agent = await check_agent(session, principal, found.version.agent_id)
    await session.refresh(agent, with_for_update=True)
    _activate(agent, dataset_id, (await repository.list_points(session, dataset_id, None)).rows)
    await session.flush()
    return found


async def find_version(session: AsyncSession, principal: Principal, dataset_id: UUID) -> DatasetVersion:
    """A version.

    Raises:
        TargetNotFoundError: The caller has no such version.
    """
    principal.require(Scope.DATASET_READ)
    return await _get(session, principal, dataset_id)


async def list_versions(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[DatasetVersion]:
    """The caller's versions."""
    principal.require(Scope.DATASET_READ)
    return await repository.list_versions(session, principal, query, part)


async def list_points(
    session: AsyncSession, principal: Principal, dataset_id: UUID, part: Slice | None = None
) -> Counted[DatasetItemRow]:
    """The items of a version in their order; all of them when no part is named.

    Raises:
        TargetNotFoundError: The caller has no such version.
    """
    principal.require(Scope.DATASET_READ)
    await _get(session, principal, dataset_id)
    return await repository.list_points(session, dataset_id, part)


async def delete_version(session: AsyncSession, principal: Principal, dataset_id: UUID) -> None:
    """Hide a version; its agent then has none in use, if this was it.

    Raises:
        TargetNotFoundError: The caller has no such version.
    """
    principal.require(Scope.DATASET_WRITE)
    found = await _get(session, principal, dataset_id)
    agent = await check_agent(session, principal, found.version.agent_id)
    await session.refresh(agent, with_for_update=True)
    if agent.active_dataset_id == dataset_id:
        agent.active_dataset_id = None
        agent.updated_at = utc_now()
    found.dataset.deleted_at = utc_now()
    await session.flush()


async def _get(session: AsyncSession, principal: Principal, dataset_id: UUID) -> DatasetVersion:
    found = await repository.find_version(session, principal, dataset_id)
    if found is None:
        raise TargetNotFoundError("Dataset")
    return found


def _item(principal: Principal, dataset_id: UUID, number: int, point: Mapping[str, Any]) -> DatasetItemRow:
    more = {name: point[name] for name in ("persona", "tags") if point.get(name) not in (None, "")}
    return DatasetItemRow(
        **owner_columns(principal),
        dataset_id=dataset_id,
        position=point.get("position", number),
        input=point.get("input"),
        expected=point.get("expected"),
        details=more or None,
    )


def _activate(agent: TargetAgentRow, dataset_id: UUID, items: Sequence[DatasetItemRow]) -> None:
    agent.active_dataset_id = dataset_id
    agent.dataset_size = len(items)
    agent.dataset_input_keys = _input_keys(items)
    agent.dataset_has_expected = any(item.expected is not None for item in items)
    agent.updated_at = utc_now()


def _input_keys(items: Sequence[DatasetItemRow]) -> list[str]:
    values: list[Any] = [item.input for item in items]
    inputs = (cast("dict[str, Any]", value) for value in values if isinstance(value, dict))
    return list(dict.fromkeys(key for value in inputs for key in value))
