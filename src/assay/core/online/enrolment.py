"""From captured events to entries, in capture's own transaction (P§3.2).

An evaluator that a generation matches gets an entry for it, and so does one whose rollout percentage leaves the
generation out: then the entry is done, and says so. What does not match leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.service import enabled_evaluators
from assay.core.evaluators.types import Evaluator, TargetKind
from assay.core.events.types import GENERATION, StoredEvent
from assay.core.online import repository
from assay.core.online.filters import evaluate_expression, load_persons
from assay.core.online.types import Origin, Outcome, State
from assay.core.online.waking import Track, track_of, wake
from assay.kit.clock import utc_now
from assay.scoring.online import Condition, decide

SUBJECTS = UUID("6d1f0c52-6a0e-4a57-9d3f-1c7ab2f3e0aa")

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged as one unit."""

    id: UUID
    key: str | None
    event: StoredEvent
    """The generation, or the first one that led to the trace or session."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that an evaluator matches."""

    subject: Subject
    sampled_out: bool


async def enrol(session: AsyncSession, project_id: UUID, events: Sequence[StoredEvent]) -> int:
    """Enter new events in the ledger of every enabled evaluator that they match, and wake whoever carries it out.

    Args:
        session: The transaction that stores the events.
        project_id: Whose they are.
        events: Only such as were not stored before.

    Returns:
        How many entries are to be carried out.
    """
    generations = [event for event in events if event.event == GENERATION]
    if not generations:
        return 0
    evaluators = [one for one in await enabled_evaluators(session, project_id) if one.conditions]
    if not evaluators:
        return 0
    now = utc_now()
    conditions = (Condition.from_wire(condition) for one in evaluators for condition in one.conditions)
    persons = await load_persons(session, project_id, conditions, generations)
    queued = 0
    tracks: set[Track] = set()
    for evaluator in sorted(evaluators, key=lambda one: one.id):
        candidates = match(evaluator, generations, now=now, persons=persons)
        entered = await enter(session, evaluator, candidates, origin=Origin.LIVE, now=now)
        queued += entered
        if entered:
            tracks.add(track_of(evaluator.definition.kind))
    await wake(session, project_id, tracks)
    return queued


def match(
    evaluator: Evaluator,
    events: Sequence[StoredEvent],
    *,
    now: datetime,
    persons: Mapping[str, Mapping[str, Any]],
    conditions: Sequence[Condition] | None = None,
) -> list[Candidate]:
    """The subjects of events that an evaluator matches, each once.

    Args:
        evaluator: With its conditions.
        events: Generations.
        now: Where relative dates count from.
        persons: What is known of the persons behind the events, by distinct id.
        conditions: Instead of the evaluator's own.
    """
    if conditions is None:
        conditions = [Condition.from_wire(condition) for condition in evaluator.conditions]
    found: dict[UUID, Candidate] = {}
    problems: set[str] = set()
    for event in events:
        subject = subject_of(evaluator.definition.target, event)
        known = None if subject is None else found.get(subject.id)
        if subject is None or (known is not None and not known.sampled_out):
            continue
        seen = event.for_scoring(persons.get(event.distinct_id))
        decision = decide(
            seen,
            conditions,
            now=now,
            sampling_key=subject.key or str(event.uuid),
            evaluate_expression=evaluate_expression,
        )
        problems.update(decision.problems)
        if decision.fires or (decision.sampled_out and known is None):
            found[subject.id] = Candidate(subject, not decision.fires)
    if problems:
        _log.warning("filters_never_match", evaluator_id=str(evaluator.id), problems=sorted(problems)[:10])
    return list(found.values())


def subject_of(target: TargetKind, event: StoredEvent) -> Subject | None:
    """What an evaluator with this target judges when it sees an event; None when the event belongs to no such unit."""
    match target:
        case TargetKind.GENERATION:
            return Subject(event.uuid, None, event)
        case TargetKind.TRACE:
            key = event.trace_id
        case TargetKind.SESSION:
            key = event.session_id
    return None if key is None else Subject(uuid5(SUBJECTS, f"{target.value}:{key}"), key, event)


async def enter(
    session: AsyncSession,
    evaluator: Evaluator,
    candidates: Sequence[Candidate],
    *,
    origin: Origin,
    now: datetime,
    backfill_id: UUID | None = None,
    manual_run: str | None = None,
) -> int:
    """Make entries; those that are there already and may be repeated are queued anew.

    Returns:
        How many entries are to be carried out now that were not before.
    """
    if not candidates:
        return 0
    definition = evaluator.definition
    due_at = now + first_wait(definition.target, definition.target_config) if origin is Origin.LIVE else now
    return await repository.put_entries(
        session,
        repository.NewEntries(
            project_id=evaluator.project_id,
            evaluator_id=evaluator.id,
            version_id=evaluator.version_id,
            runtime=definition.kind.value,
            target=definition.target.value,
            origin=origin,
            backfill_id=backfill_id,
            manual_runs=() if manual_run is None else (manual_run,),
            due_at=due_at,
            now=now,
            rows=[_row(one) for one in sorted(candidates, key=lambda one: one.subject.id)],
        ),
    )


def first_wait(target: TargetKind, config: Mapping[str, Any]) -> timedelta:
    """How long after its first generation a unit may be complete at the earliest (P§3.6)."""
    if target is TargetKind.GENERATION:
        return timedelta(0)
    seconds = config["quiet_period_seconds" if config["strategy"] == "inactivity" else "window_seconds"]
    return timedelta(seconds=seconds)


def _row(candidate: Candidate) -> repository.NewRow:
    subject = candidate.subject
    return repository.NewRow(
        subject=subject.id,
        subject_key=subject.key,
        event_id=subject.event.id,
        event_uuid=subject.event.uuid,
        state=State.DONE if candidate.sampled_out else State.QUEUED,
        outcome=Outcome.SAMPLED_OUT if candidate.sampled_out else None,
    )
