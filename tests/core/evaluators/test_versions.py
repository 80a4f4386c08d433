"""Versions: what decides a verdict makes a new one, what labels or triggers it does not."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators import service
from assay.core.evaluators.access import JudgeTools
from assay.core.evaluators.types import Evaluator, EvaluatorKind, EvaluatorValues, OutputKind, TargetKind
from assay.core.projects.service import create_organization, get_operator
from assay.core.projects.types import Principal
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.gateway.catalog import Catalog

TOOLS = JudgeTools(Catalog(()), None)
NUMERIC: EvaluatorValues = {
    "name": "n",
    "kind": EvaluatorKind.HOG,
    "config": {"source": "return 1"},
    "output_kind": OutputKind.NUMERIC,
    "output_config": {"max": 5},
}


@pytest.fixture
async def principal(sessions: SessionFactory) -> Principal:
    async with transaction(sessions) as session:
        made = await create_organization(session, name="First")
        return await get_operator(session, project=made.project_id)


async def change(session: AsyncSession, principal: Principal, evaluator_id: UUID, **values: Any) -> Evaluator:
    row = await service.lock_evaluator(session, principal, evaluator_id)
    return await service.update_evaluator(session, principal, row, EvaluatorValues(**values), TOOLS)


CHANGES: list[tuple[dict[str, Any], bool]] = [
    ({"config": {"source": "return 2"}}, True),
    ({"output_config": {"max": 6}}, True),
    ({"output_config": {"max": 5, "allows_na": True}}, True),
    ({"target": TargetKind.TRACE}, True),
    ({"config": {"source": "return 1", "bytecode": []}}, False),
    ({"output_config": {"max": 5, "passing_rule": {"operator": "gte", "threshold": 1}}}, False),
    ({"name": "other", "description": "x", "enabled": True, "conditions": [{"id": "a"}]}, False),
    ({"target_config": {"any": 1}}, False),
    ({"deleted": True}, False),
]


@pytest.mark.parametrize(("values", "is_new"), CHANGES)
async def test_what_makes_a_version(
    sessions: SessionFactory, principal: Principal, values: dict[str, Any], is_new: bool
) -> None:
    async with transaction(sessions) as session:
        made = await service.create_evaluator(session, principal, NUMERIC, TOOLS)
        changed = await change(session, principal, made.id, **values)

        assert (changed.version_id != made.version_id) is is_new
        versions = await service.find_versions(session, [made.version_id, changed.version_id])
    assert versions[made.version_id].definition.config == {"source": "return 1"}
    assert [versions[found.version_id].number for found in (made, changed)] == [1, 2 if is_new else 1]
    assert "passing_rule" not in versions[changed.version_id].definition.output_config


async def test_going_back_goes_back_to_the_version(sessions: SessionFactory, principal: Principal) -> None:
    async with transaction(sessions) as session:
        made = await service.create_evaluator(session, principal, NUMERIC, TOOLS)
        changed = await change(session, principal, made.id, config={"source": "return 2"})
        back = await change(session, principal, made.id, config={"source": "return 1"})
        third = await change(session, principal, made.id, config={"source": "return 3"})

        assert back.version_id == made.version_id
        versions = await service.find_versions(session, [changed.version_id, third.version_id])
        assert [versions[found.version_id].number for found in (changed, third)] == [2, 3]


async def test_only_enabled_ones_that_are_not_deleted_judge(sessions: SessionFactory, principal: Principal) -> None:
    async with transaction(sessions) as session:
        made = [await service.create_evaluator(session, principal, NUMERIC, TOOLS) for _ in range(3)]
        on, deleted, _ = made
        await change(session, principal, on.id, enabled=True)
        await change(session, principal, deleted.id, enabled=True, deleted=True)

        found = await service.enabled_evaluators(session, principal.project_id)

        assert [(one.id, one.version_id) for one in found] == [(on.id, on.version_id)]
        other = await create_organization(session, name="Other")
        assert await service.enabled_evaluators(session, other.project_id) == []
