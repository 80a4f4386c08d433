"""SQL of what the ledger shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, any_, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.models import EvaluatorRow
from assay.core.evaluators.types import EvaluatorKind, TargetKind
from assay.core.online.enrolment import SUBJECTS
from assay.core.online.models import LedgerRow
from assay.core.online.types import Entry, EntryQuery, Origin, Outcome, Reason, State, Summary, Tally
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.kit.clock import utc_now

OPEN = LedgerRow.state != State.DONE.value
MEASURED = 1000
"""Entries from which a median is taken."""

_MEDIAN = text(
    """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at))
    FROM (
        SELECT finished_at, created_at FROM online_evaluations
        WHERE evaluator_id = :evaluator_id AND state = 'done' AND started_at IS NOT NULL ORDER BY id DESC LIMIT :most
    ) AS last
    """
)


async def list_entries(
    session: AsyncSession, principal: Principal, query: EntryQuery, *, before_id: UUID | None, limit: int
) -> Sequence[Entry]:
    """Entries that match, newest first."""
    mine = select(EvaluatorRow.id).where(visible_to(principal, EvaluatorRow, include_deleted=True))
    statement = select(LedgerRow).where(LedgerRow.evaluator_id.in_(mine), *_conditions(query))
    if before_id is not None:
        statement = statement.where(LedgerRow.id < before_id)
    rows = await session.scalars(statement.order_by(LedgerRow.id.desc()).limit(limit))
    return [_entry(row) for row in rows]


async def numbers_of_version(
    session: AsyncSession, principal: Principal, version_id: UUID, event_uuids: Iterable[UUID]
) -> dict[UUID, float]:
    """What one version of an evaluator said of generations, as numbers; a verdict is 1 or 0."""
    mine = select(EvaluatorRow.id).where(visible_to(principal, EvaluatorRow, include_deleted=True))
    statement = select(LedgerRow.subject, LedgerRow.result).where(
        LedgerRow.evaluator_id.in_(mine),
        LedgerRow.version_id == version_id,
        LedgerRow.target == TargetKind.GENERATION.value,
        LedgerRow.subject == any_(literal(list(event_uuids), ARRAY(Uuid))),
        LedgerRow.outcome == Outcome.SCORED.value,
    )
    numbers: dict[UUID, float] = {}
    for row in await session.execute(statement):
        said: Any = row.result or {}
        value = said.get("score") if said.get("verdict") is None else said["verdict"]
        if isinstance(value, bool | int | float):
            numbers[row.subject] = float(value)
    return numbers


async def summarize(
    session: AsyncSession, evaluator_id: UUID, *, after: datetime | None, before: datetime | None
) -> Summary:
    """One evaluator's entries, counted."""
    now = utc_now()
    within = _within(EntryQuery(evaluator_id=evaluator_id, after=after, before=before))
    cost = await session.scalar(select(func.sum(LedgerRow.cost_usd)).where(*within))
    own = (LedgerRow.evaluator_id == evaluator_id, OPEN)
    next_due = await session.scalar(select(func.min(LedgerRow.due_at)).where(*own))
    waiting = await session.scalar(
        select(func.min(LedgerRow.due_at)).where(*own, LedgerRow.state == State.QUEUED.value, LedgerRow.due_at <= now)
    )
    median = await session.scalar(_MEDIAN, {"evaluator_id": evaluator_id, "most": MEASURED})
    return Summary(
        evaluator_id=evaluator_id,
        tallies=await tally(session, within),
        cost_usd=cost,
        oldest_due_seconds=None if waiting is None else (now - waiting).total_seconds(),
        next_due_at=next_due,
        median_seconds=None if median is None else float(median),
    )


async def tally(session: AsyncSession, conditions: Sequence[ColumnElement[bool]]) -> list[Tally]:
    """Entries by state, outcome and reason."""
    columns = (LedgerRow.state, LedgerRow.outcome, LedgerRow.reason)
    query: Select[str, str | None, str | None, int] = (
        select(*columns, func.count()).where(*conditions).group_by(*columns).order_by(*columns)
    )
    return [
        Tally(state=State(state), outcome=_outcome(outcome), reason=_reason(reason), count=count)
        for state, outcome, reason, count in await session.execute(query)
    ]


def _conditions(query: EntryQuery) -> list[ColumnElement[bool]]:
    conditions = _within(query)
    equal = {
        LedgerRow.state: query.state,
        LedgerRow.outcome: query.outcome,
        LedgerRow.reason: query.reason,
        LedgerRow.origin: query.origin,
    }
    conditions += [column == value.value for column, value in equal.items() if value is not None]
    if query.backfill_id is not None:
        conditions.append(LedgerRow.backfill_id == query.backfill_id)
    if query.target_id is not None:
        conditions.append(LedgerRow.subject.in_(_subjects(query.target_id)))
    return conditions


def _within(query: EntryQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.evaluator_id is not None:
        conditions.append(LedgerRow.evaluator_id == query.evaluator_id)
    if query.after is not None:
        conditions.append(LedgerRow.created_at >= query.after)
    if query.before is not None:
        conditions.append(LedgerRow.created_at < query.before)
    return conditions


def _subjects(target_id: str) -> list[UUID]:
    """All that an id may name: a generation, a trace or a session."""
    found = [uuid5(SUBJECTS, f"{kind.value}:{target_id}") for kind in (TargetKind.TRACE, TargetKind.SESSION)]
    try:
        return [UUID(target_id), *found]
    except ValueError:
        return found


def _outcome(text: str | None) -> Outcome | None:
    return None if text is None else Outcome(text)


def _reason(text: str | None) -> Reason | None:
    return None if text is None else Reason(text)


def _entry(row: LedgerRow) -> Entry:
    return Entry(
        id=row.id,
        evaluator_id=row.evaluator_id,
        version_id=row.version_id,
        runtime=EvaluatorKind(row.runtime),
        target=TargetKind(row.target),
        subject=row.subject,
        subject_key=row.subject_key,
        event_uuid=row.event_uuid,
        origin=Origin(row.origin),
        backfill_id=row.backfill_id,
        state=State(row.state),
        outcome=_outcome(row.outcome),
        reason=_reason(row.reason),
        detail=row.detail,
        result=row.result,
        attempts=row.attempts,
        cost_usd=row.cost_usd,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        due_at=row.due_at,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
