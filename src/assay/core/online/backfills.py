"""Taking an evaluator over stored events: a durable scan that enters them in the ledger, and waits for their outcomes.

A backfill makes no entry that is there already: an event that was judged live is not judged again. It goes no faster
than the ledger is carried out, so that live traffic, which shares the lanes, does not wait behind a million entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.operation import load_evaluators
from assay.core.evaluators.service import find_evaluator
from assay.core.evaluators.types import Evaluator, EvaluatorStatus
from assay.core.events.service import scan_events
from assay.core.events.types import GENERATION, EventPosition, EventQuery, StoredEvent
from assay.core.online import repository, views
from assay.core.online.enrolment import Candidate, enter, match
from assay.core.online.errors import BackfillNotFoundError, BackfillScopeError, EvaluatorOffError
from assay.core.online.filters import load_persons
from assay.core.online.models import BackfillRow, LedgerRow
from assay.core.online.types import (
    Backfill,
    BackfillScope,
    BackfillStatus,
    Origin,
    Outcome,
    Reason,
    State,
    Tally,
)
from assay.core.online.waking import start_backfill, track_of, wake
from assay.core.ownership import owner_columns, visible_to
from assay.core.projects.types import Principal, Scope
from assay.kit.clock import utc_now
from assay.kit.ids import new_id
from assay.scoring.online import Condition, PropertyFilter

MAX_LIMIT = 1_000_000
MAX_FILTERS = 50
PAGE = 500
"""Events looked at in one step, which is one transaction."""
MOST_OPEN = 5000
"""Entries of the evaluator without an outcome, above which the scan waits."""
WAIT_SECONDS = 1.0


async def create_backfill(
    session: AsyncSession, principal: Principal, evaluator_id: UUID, scope: BackfillScope
) -> Backfill:
    """Begin a backfill.

    Args:
        session: A session inside a transaction.
        principal: The caller.
        evaluator_id: What to judge by; it need not be enabled.
        scope: What to judge.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
        EvaluatorOffError: It switched itself off.
        BackfillScopeError: A part of the scope makes no sense.
    """
    principal.require(Scope.EVALUATION_WRITE)
    evaluator = await find_evaluator(session, principal, evaluator_id)
    if evaluator.status is EvaluatorStatus.ERROR:
        raise EvaluatorOffError("unknown" if evaluator.status_reason is None else evaluator.status_reason.value)
    _check(scope)
    row = BackfillRow(
        **owner_columns(principal),
        id=new_id(),
        evaluator_id=evaluator_id,
        status=BackfillStatus.QUEUED.value,
        scope=_write_scope(scope),
    )
    session.add(row)
    await session.flush()
    await start_backfill(session, row.id)
    return _backfill(row, ())


async def get_backfill(session: AsyncSession, principal: Principal, evaluator_id: UUID, backfill_id: UUID) -> Backfill:
    """A backfill and its progress.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
        BackfillNotFoundError: The evaluator has no such backfill.
    """
    principal.require(Scope.EVALUATION_READ)
    row = await _find(session, principal, evaluator_id, backfill_id, lock=False)
    return _backfill(row, await views.tally(session, [LedgerRow.backfill_id == row.id]))


async def list_backfills(
    session: AsyncSession, principal: Principal, evaluator_id: UUID, *, limit: int
) -> Sequence[Backfill]:
    """An evaluator's last backfills, newest first.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
    """
    principal.require(Scope.EVALUATION_READ)
    await find_evaluator(session, principal, evaluator_id)
    query = select(BackfillRow).where(BackfillRow.evaluator_id == evaluator_id, visible_to(principal, BackfillRow))
    rows = (await session.scalars(query.order_by(BackfillRow.id.desc()).limit(limit))).all()
    return [_backfill(row, await views.tally(session, [LedgerRow.backfill_id == row.id])) for row in rows]


async def cancel_backfill(
    session: AsyncSession, principal: Principal, evaluator_id: UUID, backfill_id: UUID
) -> Backfill:
    """Stop a backfill: nothing more is entered, and entries that nobody has begun are skipped.

    One that has ended stays as it is.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
        BackfillNotFoundError: The evaluator has no such backfill.
    """
    principal.require(Scope.EVALUATION_WRITE)
    row = await _find(session, principal, evaluator_id, backfill_id, lock=True)
    if not BackfillStatus(row.status).is_final:
        await _skip_queued(session, row.id)
        _end(row, BackfillStatus.CANCELLED)
        await session.flush()
    return _backfill(row, await views.tally(session, [LedgerRow.backfill_id == row.id]))


async def advance_backfill(session: AsyncSession, backfill_id: UUID) -> float | None:
    """Take a backfill one step on, in the caller's transaction.

    Returns:
        Seconds to wait before the next step; None when it has ended.
    """
    query = select(BackfillRow).where(BackfillRow.id == backfill_id).with_for_update()
    row = (await session.scalars(query)).one()
    if BackfillStatus(row.status).is_final:
        return None
    row.status = BackfillStatus.RUNNING.value
    if row.scanned:
        return await _finish(session, row)
    if await repository.count_open(session, row.evaluator_id) > MOST_OPEN:
        return WAIT_SECONDS
    evaluator = (await load_evaluators(session, [row.evaluator_id]))[row.evaluator_id]
    if evaluator.deleted_at is not None:
        _end(row, BackfillStatus.FAILED, "The evaluation was deleted.")
        return None
    await _scan_page(session, row, evaluator)
    return 0.0


async def fail_backfill(session: AsyncSession, backfill_id: UUID, error: str) -> None:
    """End a backfill that cannot go on."""
    query = select(BackfillRow).where(BackfillRow.id == backfill_id).with_for_update()
    row = (await session.scalars(query)).one()
    if not BackfillStatus(row.status).is_final:
        _end(row, BackfillStatus.FAILED, error)


async def _scan_page(session: AsyncSession, row: BackfillRow, evaluator: Evaluator) -> None:
    scope, now = _read_scope(row.scope), utc_now()
    query = EventQuery(event=GENERATION, after=scope.after, before=scope.before)
    position = None if row.cursor_id is None or row.cursor_time is None else (row.cursor_time, row.cursor_id)
    place = None if position is None else EventPosition(*position)
    page = await scan_events(session, row.project_id, query, position=place, limit=PAGE)
    candidates = await _matching(session, evaluator, scope, page, now)
    chosen = candidates[: scope.limit - row.enrolled]
    queued = await enter(session, evaluator, chosen, origin=Origin.BACKFILL, now=now, backfill_id=row.id)
    row.examined += len(page)
    row.enrolled += queued
    row.existing += sum(not one.sampled_out for one in chosen) - queued
    if page:
        row.cursor_time, row.cursor_id = page[-1].timestamp, page[-1].id
    row.scanned = len(page) < PAGE or row.enrolled >= scope.limit
    if queued:
        await wake(session, row.project_id, [track_of(evaluator.definition.kind)])


async def _matching(
    session: AsyncSession, evaluator: Evaluator, scope: BackfillScope, page: Sequence[StoredEvent], now: datetime
) -> list[Candidate]:
    own = [Condition.from_wire({"id": "backfill", "properties": list(scope.filters)})]
    conditions = [Condition.from_wire(condition) for condition in evaluator.conditions]
    persons = await load_persons(session, evaluator.project_id, (*own, *conditions), page)
    found = match(evaluator, page, now=now, persons=persons, conditions=own)
    if not scope.apply_conditions:
        return found
    return match(evaluator, [one.subject.event for one in found], now=now, persons=persons, conditions=conditions)


async def _finish(session: AsyncSession, row: BackfillRow) -> float | None:
    """End a backfill whose entries all have outcomes."""
    waiting = await session.scalar(
        select(LedgerRow.id).where(LedgerRow.backfill_id == row.id, LedgerRow.state != State.DONE.value).limit(1)
    )
    if waiting is not None:
        return WAIT_SECONDS
    _end(row, BackfillStatus.COMPLETED)
    return None


async def _skip_queued(session: AsyncSession, backfill_id: UUID) -> None:
    """Entries that somebody waits for by hand, or that a worker is at, go on."""
    now = utc_now()
    await session.execute(
        update(LedgerRow)
        .where(
            LedgerRow.backfill_id == backfill_id,
            LedgerRow.state == State.QUEUED.value,
            LedgerRow.manual_runs == [],
        )
        .values(
            state=State.DONE.value,
            outcome=Outcome.SKIPPED.value,
            reason=Reason.BACKFILL_CANCELLED.value,
            finished_at=now,
        )
        .execution_options(synchronize_session=False)
    )


async def _find(
    session: AsyncSession, principal: Principal, evaluator_id: UUID, backfill_id: UUID, *, lock: bool
) -> BackfillRow:
    await find_evaluator(session, principal, evaluator_id)
    query = select(BackfillRow).where(
        BackfillRow.id == backfill_id, BackfillRow.evaluator_id == evaluator_id, visible_to(principal, BackfillRow)
    )
    if lock:
        query = query.with_for_update()
    row = (await session.scalars(query)).one_or_none()
    if row is None:
        raise BackfillNotFoundError(backfill_id)
    return row


def _end(row: BackfillRow, status: BackfillStatus, error: str | None = None) -> None:
    row.status, row.error, row.ended_at = status.value, error, utc_now()


def _check(scope: BackfillScope) -> None:
    if scope.after >= scope.before:
        raise BackfillScopeError("`after` must lie before `before`.", param="after")
    if not 1 <= scope.limit <= MAX_LIMIT:
        raise BackfillScopeError(f"`limit` must be from 1 to {MAX_LIMIT}.", param="limit")
    if len(scope.filters) > MAX_FILTERS:
        raise BackfillScopeError(f"At most {MAX_FILTERS} filters can be given.", param="properties")
    for item in scope.filters:
        kind = PropertyFilter.from_wire(item).type
        if kind not in {"event", "person", "hogql"}:
            raise BackfillScopeError(f"Filters of type `{kind[:64]}` are not supported here.", param="properties")


def _write_scope(scope: BackfillScope) -> dict[str, Any]:
    return {
        "after": scope.after.isoformat(),
        "before": scope.before.isoformat(),
        "filters": [dict(item) for item in scope.filters],
        "apply_conditions": scope.apply_conditions,
        "limit": scope.limit,
    }


def _read_scope(stored: Mapping[str, Any]) -> BackfillScope:
    return BackfillScope(
        after=datetime.fromisoformat(stored["after"]),
        before=datetime.fromisoformat(stored["before"]),
        filters=stored["filters"],
        apply_conditions=stored["apply_conditions"],
        limit=stored["limit"],
    )


def _backfill(row: BackfillRow, tallies: Sequence[Tally]) -> Backfill:
    return Backfill(
        id=row.id,
        evaluator_id=row.evaluator_id,
        status=BackfillStatus(row.status),
        scope=_read_scope(row.scope),
        examined=row.examined,
        enrolled=row.enrolled,
        existing=row.existing,
        tallies=tallies,
        error=row.error,
        created_by=row.created_by,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
