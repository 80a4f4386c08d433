"""Use cases of online evaluation: runs by hand, and what the ledger says.

An entry that has a verdict is not carried out again when somebody asks by hand: the run gets a result event of its own
with the verdict that is there, and nothing is paid for twice. One that failed, was left out or skipped is queued anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.service import find_evaluator
from assay.core.evaluators.types import Evaluator, TargetKind
from assay.core.events.errors import EventNotFoundError
from assay.core.events.service import find_event, store_events
from assay.core.events.types import StoredEvent
from assay.core.online import repository, views
from assay.core.online.breakers import Breaker, read_breakers
from assay.core.online.enrolment import Candidate, Subject, enrol, enter
from assay.core.online.errors import TargetEventNotFoundError, TargetMismatchError
from assay.core.online.models import LedgerRow
from assay.core.online.results import Judged, manual_run_id, read_finding, read_use, result_event
from assay.core.online.types import Entry, EntryQuery, Origin, Outcome, Reason, State, Summary
from assay.core.online.waking import Track, track_of, wake
from assay.core.projects.types import Principal, Scope
from assay.kit.clock import utc_now

__all__ = [
    "ManualRun",
    "RunRequest",
    "check_evaluator",
    "enrol",
    "list_entries",
    "request_run",
    "summarize",
    "wake_overdue",
]

OVERDUE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run by hand (P§4.1)."""

    evaluator_id: UUID
    event_uuid: UUID
    timestamp: datetime
    """Any time on the event's day, in UTC."""
    event: str
    """The event's name."""
    distinct_id: str | None = None
    """None: of anybody."""


@dataclass(frozen=True, slots=True)
class ManualRun:
    """A run that was asked for."""

    id: str
    evaluator: Evaluator
    event: StoredEvent


async def request_run(session: AsyncSession, principal: Principal, request: RunRequest) -> ManualRun:
    """Have an evaluator judge one event, whether it is on or not and whatever its conditions say.

    Args:
        session: A session inside a transaction.
        principal: The caller.
        request: What to judge by what.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
        TargetMismatchError: It judges traces or sessions.
        TargetEventNotFoundError: The caller has no such event.
    """
    principal.require(Scope.EVALUATION_WRITE)
    evaluator = await find_evaluator(session, principal, request.evaluator_id)
    definition = evaluator.definition
    if definition.target is not TargetKind.GENERATION:
        raise TargetMismatchError(definition.target.value)
    event = await _find_target(session, principal, request)
    now = utc_now()
    run = ManualRun(manual_run_id(definition.kind, evaluator.id, event.uuid, now), evaluator, event)
    candidate = Candidate(Subject(event.uuid, None, event), sampled_out=False)
    queued = await enter(session, evaluator, [candidate], origin=Origin.MANUAL, now=now, manual_run=run.id)
    if not queued:
        await _join(session, run, now)
    await wake(session, evaluator.project_id, [track_of(definition.kind)])
    return run


async def check_evaluator(session: AsyncSession, principal: Principal, evaluator_id: UUID) -> None:
    """Make sure that the caller has such an evaluator.

    Raises:
        EvaluatorNotFoundError: There is none.
    """
    await find_evaluator(session, principal, evaluator_id)


async def list_entries(
    session: AsyncSession, principal: Principal, query: EntryQuery, *, before_id: UUID | None, limit: int
) -> Sequence[Entry]:
    """Entries of the caller's evaluators that match, newest first.

    Args:
        session: Where to read.
        principal: The caller.
        query: With an evaluator or a target.
        before_id: Last entry of the page before.
        limit: Most entries.
    """
    principal.require(Scope.EVALUATION_READ)
    return await views.list_entries(session, principal, query, before_id=before_id, limit=limit)


async def numbers_of_version(
    session: AsyncSession, principal: Principal, version_id: UUID, event_uuids: Iterable[UUID]
) -> dict[UUID, float]:
    """What one version of the caller's evaluators said of generations, by the event's uuid; a verdict is 1 or 0."""
    return await views.numbers_of_version(session, principal, version_id, event_uuids)


async def summarize(
    session: AsyncSession,
    principal: Principal,
    evaluator_id: UUID,
    *,
    after: datetime | None = None,
    before: datetime | None = None,
) -> tuple[Summary, Breaker | None]:
    """An evaluator's entries by outcome and reason, how far it lags behind, and its breaker if its way fails.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
    """
    principal.require(Scope.EVALUATION_READ)
    evaluator = await find_evaluator(session, principal, evaluator_id)
    summary = await views.summarize(session, evaluator_id, after=after, before=before)
    model = evaluator.definition.model
    if model is None:
        return summary, None
    way = model.provider.value if model.provider_key_id is None else f"{model.provider.value}:{model.provider_key_id}"
    found = await read_breakers(session, [way], now=utc_now())
    return summary, found.get(way)


async def wake_overdue(session: AsyncSession) -> int:
    """Wake those who carry out entries that are minutes overdue: their workflow was lost, or nobody was there.

    Returns:
        How many projects were woken.
    """
    projects = await repository.overdue_projects(session, before=utc_now() - OVERDUE)
    for project_id in projects:
        await wake(session, project_id, Track)
    return len(projects)


async def _find_target(session: AsyncSession, principal: Principal, request: RunRequest) -> StoredEvent:
    try:
        event = await find_event(session, principal, request.event_uuid)
    except EventNotFoundError as error:
        raise TargetEventNotFoundError(request.event_uuid) from error
    same_day = event.timestamp.date() == request.timestamp.astimezone(event.timestamp.tzinfo).date()
    same_person = request.distinct_id is None or request.distinct_id == event.distinct_id
    if event.event != request.event or not same_day or not same_person:
        raise TargetEventNotFoundError(request.event_uuid)
    return event


async def _join(session: AsyncSession, run: ManualRun, now: datetime) -> None:
    """Let a run share the entry that is there: its verdict if it has one, else the one to come."""
    evaluator = run.evaluator
    row = await repository.lock_entry(session, evaluator.id, run.event.uuid, evaluator.version_id)
    if row is None:
        return
    if row.state == State.DONE.value:
        await store_events(session, evaluator.project_id, [result_event(_judged(row, run, now), run.id)])
        return
    row.manual_runs = [*row.manual_runs, run.id]
    if row.state == State.QUEUED.value:
        row.due_at = min(row.due_at, now)
    await session.flush()


def _judged(row: LedgerRow, run: ManualRun, now: datetime) -> Judged:
    result = row.result or {}
    return Judged(
        entry_id=row.id,
        project_id=row.project_id,
        evaluator_id=row.evaluator_id,
        evaluator_name=run.evaluator.name,
        definition=run.evaluator.definition,
        target=TargetKind(row.target),
        subject=row.subject,
        subject_key=row.subject_key,
        origin=Origin.MANUAL,
        backfill_id=None,
        source=run.event,
        outcome=Outcome(row.outcome),
        reason=None if row.reason is None else Reason(row.reason),
        finding=read_finding(result) if "reasoning" in result else None,
        use=read_use(result, input_tokens=row.input_tokens, output_tokens=row.output_tokens),
        started_at=now,
    )
