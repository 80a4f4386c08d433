"""Use cases of dataset versions: datasets that belong to an agent and never change once they are made.

A version is a stored dataset, so every other API shows it too; its number and its agent are kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.ownership import OwnerColumns, owner_columns
from assay.core.projects.types import Principal, Scope
from assay.core.targets import repository
from assay.core.targets.errors import TargetNotFoundError
from assay.core.targets.models import DatasetVersionRow, TargetAgentRow
from assay.core.targets.repository import DatasetVersion
from assay.core.targets.service import check_agent
from assay.core.targets.types import DatasetOrigin
from assay.db.listing import ListQuery
from assay.db.slices import Counted, Slice
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

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
    return await _store(session, owner_columns(principal), new_id(), agent, points, values, activate=activate)


async def store_outputs(
    session: AsyncSession,
    owner: OwnerColumns,
    *,
    dataset_id: UUID,
    agent_id: UUID | None,
    points: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    activate_first: bool = False,
) -> None:
    """Keep what a job made as a dataset, once: nothing happens if there is one of this id.

    Args:
        session: A session inside a transaction.
        owner: Whose it will be.
        dataset_id: Its id, the same whenever the job makes it again.
        agent_id: Whose data it is; None for a dataset that is no version of anything.
        points: As of ``create_version``, each also with ``details`` to keep with it.
        values: As of ``create_version``.
        activate_first: Let the agent's jobs use it if the agent has no data yet.
    """
    if await session.get(DatasetRow, dataset_id) is not None:
        return
    agent = None if agent_id is None else await session.get(TargetAgentRow, agent_id, with_for_update=True)
    activate = activate_first and agent is not None and agent.active_dataset_id is None
    await _store(session, owner, dataset_id, agent, points, values, activate=activate)


async def _store(
    session: AsyncSession,
    owner: OwnerColumns,
    dataset_id: UUID,
    agent: TargetAgentRow | None,
    points: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    *,
    activate: bool,
) -> DatasetVersion:
    dataset = DatasetRow(**owner, id=dataset_id, name=values.get("name", ""), details=values.get("details"))
    dataset.description = values.get("description")
    session.add(dataset)
    await session.flush()
    items = [_item(owner, dataset.id, number, point) for number, point in enumerate(points)]
    session.add_all(items)
    version = DatasetVersionRow(
        dataset_id=dataset.id,
        version=0,
        origin=values.get("origin", DatasetOrigin.SEED.value),
        generator_model=values.get("generator_model", ""),
        policy_hash=values.get("policy_hash", ""),
        size=len(points),
    )
    if agent is not None:
        version.agent_id = agent.id
        version.version = await repository.next_dataset_version(session, agent.id)
        session.add(version)
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


def _item(owner: OwnerColumns, dataset_id: UUID, number: int, point: Mapping[str, Any]) -> DatasetItemRow:
    more = {name: point[name] for name in ("persona", "tags") if point.get(name) not in (None, "")}
    more |= point.get("details") or {}
    return DatasetItemRow(
        **owner,
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
