"""What judging may cost in a day: calls and US dollars, for an evaluator or for a whole project.

A budget is checked before each call against what has been written down, so calls that are under way elsewhere may pass
it by their number. A call whose price is not known counts as a call and costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.service import find_evaluator
from assay.core.online.models import BudgetRow, SpendRow
from assay.core.online.types import Reason
from assay.core.projects.types import Principal, Scope
from assay.kit.clock import utc_now
from assay.kit.ids import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A ceiling for a day (UTC), and what the present day has used of it."""

    evaluator_id: UUID | None
    """None: of all of the project's evaluators together."""
    max_usd_per_day: Decimal | None
    max_calls_per_day: int | None
    usd_today: Decimal
    calls_today: int


@dataclass(slots=True)
class _Purse:
    calls: float
    usd: Decimal | None

    @property
    def is_empty(self) -> bool:
        return self.calls < 1 or (self.usd is not None and self.usd <= 0)


class Allowance:
    """What may still be spent today, while a batch of calls is being decided on."""

    def __init__(self, project: _Purse | None, evaluators: dict[UUID, _Purse]) -> None:
        self._project = project
        self._evaluators = evaluators

    def take(self, evaluator_id: UUID) -> Reason | None:
        """Take a call's worth, or say whose budget is used up."""
        own = self._evaluators.get(evaluator_id)
        if own is not None and own.is_empty:
            return Reason.EVALUATOR_BUDGET
        if self._project is not None and self._project.is_empty:
            return Reason.PROJECT_BUDGET
        for purse in (own, self._project):
            if purse is not None:
                purse.calls -= 1
        return None


async def read_allowance(
    session: AsyncSession, project_id: UUID, *, in_flight: Sequence[UUID], now: datetime
) -> Allowance:
    """What a project's evaluators may still spend today.

    Args:
        session: Where to read.
        project_id: The project.
        in_flight: Evaluator of each call of this lane that is under way.
        now: The time.
    """
    rows = (await session.scalars(select(BudgetRow).where(BudgetRow.project_id == project_id))).all()
    project, evaluators = None, dict[UUID, _Purse]()
    for row in rows:
        used = await _used(session, row, now)
        under_way = sum(row.evaluator_id in (None, one) for one in in_flight)
        calls = float("inf") if row.max_calls_per_day is None else row.max_calls_per_day - used[0] - under_way
        usd = None if row.max_usd_per_day is None else row.max_usd_per_day - used[1]
        if row.evaluator_id is None:
            project = _Purse(calls, usd)
        else:
            evaluators[row.evaluator_id] = _Purse(calls, usd)
    return Allowance(project, evaluators)


async def read_budget(session: AsyncSession, principal: Principal, evaluator_id: UUID | None) -> Budget:
    """The budget of one of the caller's evaluators, or of the project; without limits when none was set.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
    """
    principal.require(Scope.EVALUATION_READ)
    row = await _find(session, principal, evaluator_id)
    used = await _used(session, row, utc_now())
    return Budget(
        evaluator_id=evaluator_id,
        max_usd_per_day=row.max_usd_per_day,
        max_calls_per_day=row.max_calls_per_day,
        usd_today=used[1],
        calls_today=used[0],
    )


async def set_budget(
    session: AsyncSession,
    principal: Principal,
    evaluator_id: UUID | None,
    *,
    max_usd_per_day: Decimal | None,
    max_calls_per_day: int | None,
) -> Budget:
    """Set a budget; None is no limit.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
    """
    principal.require(Scope.EVALUATION_WRITE)
    await _find(session, principal, evaluator_id)
    values = {"max_usd_per_day": max_usd_per_day, "max_calls_per_day": max_calls_per_day, "updated_at": utc_now()}
    new = insert(BudgetRow).values(id=new_id(), project_id=principal.project_id, evaluator_id=evaluator_id, **values)
    await session.execute(new.on_conflict_do_update(index_elements=["project_id", "evaluator_id"], set_=values))
    return await read_budget(session, principal, evaluator_id)


async def _find(session: AsyncSession, principal: Principal, evaluator_id: UUID | None) -> BudgetRow:
    if evaluator_id is not None:
        await find_evaluator(session, principal, evaluator_id)
    own = BudgetRow.evaluator_id == evaluator_id if evaluator_id is not None else BudgetRow.evaluator_id.is_(None)
    query = select(BudgetRow).where(BudgetRow.project_id == principal.project_id, own)
    found = await session.scalar(query.execution_options(populate_existing=True))
    return found or BudgetRow(project_id=principal.project_id, evaluator_id=evaluator_id)


async def _used(session: AsyncSession, row: BudgetRow, now: datetime) -> tuple[int, Decimal]:
    """Calls and dollars of this day."""
    query = select(func.coalesce(func.sum(SpendRow.calls), 0), func.coalesce(func.sum(SpendRow.cost_usd), 0)).where(
        SpendRow.day == now.date()
    )
    if row.evaluator_id is not None:
        query = query.where(SpendRow.evaluator_id == row.evaluator_id)
    else:
        query = query.where(SpendRow.project_id == row.project_id)
    calls, usd = (await session.execute(query)).one()
    return int(calls), Decimal(usd)
