"""Outcomes written down, in one transaction: the entry, the events that tell of it, what it means for the evaluator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.operation import blame_key, stop_evaluator
from assay.core.evaluators.types import Definition, Evaluator, StatusReason
from assay.core.events.service import store_events
from assay.core.events.types import NewEvent, StoredEvent
from assay.core.online import repository
from assay.core.online.results import automatic_run_id, is_told, judged_of, result_event, stored_result
from assay.core.online.types import Ended, Leased, Origin, Outcome
from assay.kit.clock import utc_now

_log = structlog.stdlib.get_logger(__name__)

Sources = Mapping[UUID, tuple[Evaluator, Definition, StoredEvent]]


async def record(
    session: AsyncSession, entries: Mapping[UUID, Leased], ended: Sequence[Ended], sources: Sources
) -> list[Ended]:
    """Write outcomes down. An entry that has one already is left alone, and nothing is told of it twice.

    Args:
        session: A session inside a transaction.
        entries: At least those that have ended, by id.
        ended: Outcomes.
        sources: What result events tell of, by entry; those without leave none.

    Returns:
        The outcomes that counted.
    """
    if not ended:
        return []
    results = {one.entry_id: result for one in ended if (result := stored_result(one.finding, one.use)) is not None}
    rows = await repository.record_ended(session, ended, results, now=utc_now())
    counted = [one for one in ended if one.entry_id in rows]
    events: dict[UUID, list[NewEvent]] = defaultdict(list)
    for one in counted:
        entry = entries[one.entry_id]
        source = sources.get(entry.id)
        if source is not None and is_told(one.outcome, one.reason):
            events[entry.project_id] += _events(entry, one, source, rows[entry.id])
    for project_id, told in events.items():
        await store_events(session, project_id, told)
    await _switch_off(session, entries, counted)
    return counted


def _events(
    entry: Leased, ended: Ended, source: tuple[Evaluator, Definition, StoredEvent], row: Row[Any]
) -> list[NewEvent]:
    """One event for the run that made the entry, and one for each run by hand that waited for it."""
    evaluator, definition, event = source
    judged = judged_of(
        entry,
        evaluator_name=evaluator.name,
        definition=definition,
        source=event,
        outcome=ended.outcome,
        reason=ended.reason,
        finding=ended.finding,
        use=ended.use,
        started_at=ended.started_at,
    )
    runs = [*row.manual_runs]
    if row.origin != Origin.MANUAL:
        runs.append(automatic_run_id(judged))
    return [result_event(judged, run_id) for run_id in runs]


async def _switch_off(session: AsyncSession, entries: Mapping[UUID, Leased], ended: Sequence[Ended]) -> None:
    """Evaluators whose failures will not heal switch themselves off; the first failure tells why."""
    seen: set[UUID] = set()
    for one in sorted(ended, key=lambda one: entries[one.entry_id].evaluator_id):
        entry = entries[one.entry_id]
        if one.outcome is not Outcome.FAILED or one.reason not in set(StatusReason) or entry.evaluator_id in seen:
            continue
        seen.add(entry.evaluator_id)
        reason = StatusReason(one.reason)
        if one.key_id is not None:
            await blame_key(session, one.key_id, reason=reason, message=one.detail or reason.value)
        detail = one.detail if reason is StatusReason.HOG_ERROR else None
        if await stop_evaluator(session, entry.evaluator_id, version_id=entry.version_id, reason=reason, detail=detail):
            _log.warning("evaluator_switched_off", evaluator_id=str(entry.evaluator_id), reason=reason.value)
