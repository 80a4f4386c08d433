"""What a batch of leased entries needs, read at once: evaluators, their versions, and what is to be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.operation import load_evaluators
from assay.core.evaluators.service import find_versions
from assay.core.evaluators.types import Definition, Evaluator, EvaluatorStatus, TargetKind
from assay.core.events.service import get_events, get_unit_events
from assay.core.events.types import GENERATION, TRACE, StoredEvent
from assay.core.online.types import Ended, Leased, Origin, Outcome, Postponed, Reason
from assay.scoring.online import Event
from assay.scoring.online.variables import TargetFacts

MAX_UNIT_EVENTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An entry that can be carried out."""

    entry: Leased
    evaluator: Evaluator
    """As it is now."""
    definition: Definition
    """As it was when the entry was made."""
    source: StoredEvent
    unit: Sequence[StoredEvent]
    """The generation alone, or the events of the trace or session in order of time."""

    @property
    def event(self) -> Event:
        """The source, for scoring."""
        return self.source.for_scoring()

    @property
    def facts(self) -> TargetFacts:
        """The trace or session in numbers."""
        return unit_facts(self.entry.target, self.entry.subject_key or str(self.entry.subject), self.unit)


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries sorted by what is to be done about them."""

    work: Sequence[Work]
    ended: Sequence[Ended]
    """Those about which there is nothing to do."""
    postponed: Sequence[Postponed]
    """Those whose trace or session still goes on."""
    sources: Mapping[UUID, tuple[Evaluator, Definition, StoredEvent]]
    """By entry, also of those that have ended: what a result event tells of."""


async def load_batch(session: AsyncSession, entries: Sequence[Leased], *, now: datetime) -> Batch:
    """Read what entries of one project need."""
    evaluators = await load_evaluators(session, sorted({entry.evaluator_id for entry in entries}))
    versions = await find_versions(session, sorted({entry.version_id for entry in entries}))
    ids = sorted({entry.event_id for entry in entries})
    sources = {} if not entries else {e.id: e for e in await get_events(session, entries[0].project_id, ids)}
    work: list[Work] = []
    ended: list[Ended] = []
    postponed: list[Postponed] = []
    told: dict[UUID, tuple[Evaluator, Definition, StoredEvent]] = {}
    for entry in entries:
        evaluator, version = evaluators[entry.evaluator_id], versions[entry.version_id]
        source = sources.get(entry.event_id)
        reason = _obstacle(entry, evaluator, source)
        if reason is not None or source is None:
            ended.append(_skipped(entry, reason or Reason.EVENT_GONE, now))
            continue
        told[entry.id] = (evaluator, version.definition, source)
        unit = await _unit(session, entry, source)
        quiet = _complete_at(entry, version.definition, unit)
        if quiet is not None and quiet > now:
            postponed.append(Postponed(entry_id=entry.id, due_at=quiet))
        elif not unit or len(unit) > MAX_UNIT_EVENTS:
            ended.append(_skipped(entry, Reason.TRACE_TOO_LARGE if unit else Reason.TRACE_NOT_FOUND, now))
        else:
            definition = version.definition
            work.append(Work(entry=entry, evaluator=evaluator, definition=definition, source=source, unit=unit))
    return Batch(work, ended, postponed, told)


def _obstacle(entry: Leased, evaluator: Evaluator, source: StoredEvent | None) -> Reason | None:
    """Why an entry is not carried out. A run by hand asks nobody whether the evaluator is on (P§4.1)."""
    if source is None:
        return Reason.EVENT_GONE
    if evaluator.deleted_at is not None:
        return Reason.EVALUATOR_DELETED
    if entry.manual_runs or evaluator.enabled:
        return None
    if evaluator.status is EvaluatorStatus.ERROR:
        return Reason.EVALUATOR_ERROR
    # A backfill of an evaluator that is not to watch live traffic is what somebody asked for.
    return None if entry.origin is Origin.BACKFILL else Reason.EVALUATOR_PAUSED


def _skipped(entry: Leased, reason: Reason, now: datetime) -> Ended:
    return Ended(entry_id=entry.id, outcome=Outcome.SKIPPED, reason=reason, started_at=now)


async def _unit(session: AsyncSession, entry: Leased, source: StoredEvent) -> Sequence[StoredEvent]:
    match entry.target:
        case TargetKind.GENERATION:
            return [source]
        case TargetKind.TRACE:
            return await get_unit_events(
                session, entry.project_id, trace_id=entry.subject_key, limit=MAX_UNIT_EVENTS + 1
            )
        case TargetKind.SESSION:
            return await get_unit_events(
                session, entry.project_id, session_id=entry.subject_key, limit=MAX_UNIT_EVENTS + 1
            )


def _complete_at(entry: Leased, definition: Definition, unit: Sequence[StoredEvent]) -> datetime | None:
    """When a unit that ends by inactivity is taken to be complete; None for all others (P§3.6)."""
    config = definition.target_config
    if entry.target is TargetKind.GENERATION or config.get("strategy") != "inactivity" or not unit:
        return None
    quiet = max(event.created_at for event in unit) + timedelta(seconds=config["quiet_period_seconds"])
    return min(quiet, entry.created_at + timedelta(seconds=config["max_age_seconds"]))


def _latency(unit: Sequence[StoredEvent]) -> float | None:
    """What the trace itself says, else its generations together."""
    traces = [event for event in unit if event.event == TRACE]
    return _sum(traces, "$ai_latency") if traces else _sum(unit, "$ai_latency")


def unit_facts(target: TargetKind, key: str, unit: Sequence[StoredEvent]) -> TargetFacts:
    """A trace or session in numbers.

    Args:
        target: What it is.
        key: Its id.
        unit: Its events.
    """
    return TargetFacts(
        type=target.value,
        id=key,
        total_cost_usd=_sum(unit, "$ai_total_cost_usd"),
        total_latency_seconds=_latency(unit),
    )


def _sum(events: Sequence[StoredEvent], name: str) -> float | None:
    values = [event.properties.get(name) for event in events if event.event in (GENERATION, TRACE)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return sum(numbers) if numbers else None
