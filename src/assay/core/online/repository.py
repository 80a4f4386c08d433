"""SQL of the ledger: entries made, leased, recorded and shown.

Everything that changes an entry compares its state first, in the same statement. So it does not matter whether a worker
repeats itself, or whether two workers hold the same entry for a moment: the first outcome is the outcome.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Date, Integer, Numeric, Row, Text, Uuid, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.types import EvaluatorKind, TargetKind
from assay.core.online.models import LedgerRow
from assay.core.online.types import REPEATABLE, Ended, Leased, Origin, Outcome, Postponed, State
from assay.db.base import UtcDateTime
from assay.kit.ids import new_id
from assay.kit.json import dumps


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """What differs between entries that are made together."""

    subject: UUID
    subject_key: str | None
    event_id: UUID
    event_uuid: UUID
    state: State
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntries:
    """Entries of one evaluator, in the order of their subjects."""

    project_id: UUID
    evaluator_id: UUID
    version_id: UUID
    runtime: str
    target: str
    origin: Origin
    backfill_id: UUID | None
    manual_runs: Sequence[str]
    due_at: datetime
    now: datetime
    rows: Sequence[NewRow]


# A unit of several events is judged once for each evaluator, whatever has become of the evaluator since (P§3.6).
_PUT = text(
    """
    INSERT INTO online_evaluations AS entry (
        id, project_id, evaluator_id, version_id, runtime, target, subject, subject_key, event_id, event_uuid,
        origin, backfill_id, manual_runs, state, due_at, attempts, outcome, created_at, finished_at)
    SELECT given.id, :project_id, :evaluator_id, :version_id, :runtime, :target, given.subject, given.subject_key,
           given.event_id, given.event_uuid, :origin, :backfill_id, :manual_runs, given.state, :due_at, 0,
           given.outcome, :now, CASE WHEN given.state = 'done' THEN CAST(:now AS timestamptz) END
    FROM unnest(:ids, :subjects, :subject_keys, :event_ids, :event_uuids, :states, :outcomes)
         AS given (id, subject, subject_key, event_id, event_uuid, state, outcome)
    WHERE :target = 'generation' OR NOT EXISTS (
        SELECT FROM online_evaluations AS other
        WHERE other.evaluator_id = :evaluator_id AND other.subject = given.subject AND other.version_id <> :version_id)
    ON CONFLICT (evaluator_id, subject, version_id) DO UPDATE SET
        origin = excluded.origin, backfill_id = excluded.backfill_id, manual_runs = excluded.manual_runs,
        state = excluded.state, due_at = excluded.due_at, holder = NULL, attempts = 0, outcome = NULL, reason = NULL,
        detail = NULL, result = NULL, started_at = NULL, finished_at = NULL
        WHERE entry.state = 'done' AND entry.outcome = ANY(:repeatable) AND excluded.state = 'queued'
    RETURNING state
    """
).bindparams(
    bindparam("project_id", type_=Uuid()),
    bindparam("evaluator_id", type_=Uuid()),
    bindparam("version_id", type_=Uuid()),
    bindparam("backfill_id", type_=Uuid()),
    bindparam("runtime", type_=Text()),
    bindparam("target", type_=Text()),
    bindparam("origin", type_=Text()),
    bindparam("manual_runs", type_=JSONB()),
    bindparam("due_at", type_=UtcDateTime()),
    bindparam("now", type_=UtcDateTime()),
    *(bindparam(name, type_=ARRAY(Uuid())) for name in ("ids", "subjects", "event_ids", "event_uuids")),
    *(bindparam(name, type_=ARRAY(Text())) for name in ("subject_keys", "states", "outcomes", "repeatable")),
)

# Evaluators take turns, each with its oldest first, so that none waits behind another's backlog.
_LEASE = text(
    """
    WITH picked AS (
        SELECT evaluators.id AS evaluator_id, due.id, due.due_at FROM evaluators
        CROSS JOIN LATERAL (
            SELECT entry.id, entry.due_at FROM online_evaluations AS entry
            WHERE entry.evaluator_id = evaluators.id AND entry.state <> 'done' AND entry.due_at <= :now
              AND entry.runtime = ANY(:runtimes)
            ORDER BY entry.due_at
            LIMIT :share
            FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE evaluators.project_id = :project_id
    ), taken AS (
        SELECT id FROM picked
        ORDER BY row_number() OVER (PARTITION BY evaluator_id ORDER BY due_at), due_at
        LIMIT :most
    )
    UPDATE online_evaluations AS entry
    SET state = 'leased', due_at = :until, holder = :holder, started_at = coalesce(entry.started_at, :now)
    FROM taken WHERE entry.id = taken.id
    RETURNING entry.*
    """
).bindparams(
    bindparam("project_id", type_=Uuid()),
    bindparam("now", type_=UtcDateTime()),
    bindparam("until", type_=UtcDateTime()),
    bindparam("runtimes", type_=ARRAY(Text())),
    bindparam("holder", type_=Text()),
)

_RECORD = text(
    """
    UPDATE online_evaluations AS entry
    SET state = 'done', outcome = given.outcome, reason = given.reason, detail = given.detail,
        result = given.result::jsonb, cost_usd = given.cost_usd, input_tokens = given.input_tokens,
        output_tokens = given.output_tokens, started_at = given.started_at, finished_at = :now, holder = NULL
    FROM unnest(:ids, :outcomes, :reasons, :details, :results, :costs, :inputs, :outputs, :started)
         AS given (id, outcome, reason, detail, result, cost_usd, input_tokens, output_tokens, started_at)
    WHERE entry.id = given.id AND entry.state <> 'done'
    RETURNING entry.id, entry.origin, entry.backfill_id, entry.manual_runs
    """
).bindparams(
    bindparam("now", type_=UtcDateTime()),
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("costs", type_=ARRAY(Numeric())),
    bindparam("inputs", type_=ARRAY(Integer())),
    bindparam("outputs", type_=ARRAY(Integer())),
    bindparam("started", type_=ARRAY(UtcDateTime())),
    *(bindparam(name, type_=ARRAY(Text())) for name in ("outcomes", "reasons", "details", "results")),
)

_POSTPONE = text(
    """
    UPDATE online_evaluations AS entry
    SET state = 'queued', due_at = given.due_at, attempts = entry.attempts + given.failed, holder = NULL
    FROM unnest(:ids, :due, :failed) AS given (id, due_at, failed)
    WHERE entry.id = given.id AND entry.state = 'leased' AND entry.holder = :holder
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("due", type_=ARRAY(UtcDateTime())),
    bindparam("failed", type_=ARRAY(Integer())),
    bindparam("holder", type_=Text()),
)

_NEXT_DUE = text(
    """
    SELECT min(picked.due_at) FROM evaluators
    CROSS JOIN LATERAL (
        SELECT entry.due_at FROM online_evaluations AS entry
        WHERE entry.evaluator_id = evaluators.id AND entry.state <> 'done' AND entry.runtime = ANY(:runtimes)
        ORDER BY entry.due_at LIMIT 1
    ) AS picked
    WHERE evaluators.project_id = :project_id
    """
).bindparams(bindparam("project_id", type_=Uuid()), bindparam("runtimes", type_=ARRAY(Text())))

_OVERDUE = text(
    """
    SELECT DISTINCT evaluators.project_id FROM evaluators
    CROSS JOIN LATERAL (
        SELECT FROM online_evaluations AS entry
        WHERE entry.evaluator_id = evaluators.id AND entry.state <> 'done' AND entry.due_at < :before LIMIT 1
    ) AS late
    """
).bindparams(bindparam("before", type_=UtcDateTime()))


async def put_entries(session: AsyncSession, new: NewEntries) -> int:
    """Make entries, or queue anew those that are there and may be repeated.

    Returns:
        How many are queued that were not before.
    """
    repeatable = [Outcome.SAMPLED_OUT] if new.origin is Origin.LIVE else REPEATABLE
    rows = new.rows
    found = await session.execute(
        _PUT,
        {
            "project_id": new.project_id,
            "evaluator_id": new.evaluator_id,
            "version_id": new.version_id,
            "runtime": new.runtime,
            "target": new.target,
            "origin": new.origin.value,
            "backfill_id": new.backfill_id,
            "manual_runs": list(new.manual_runs),
            "due_at": new.due_at,
            "now": new.now,
            "repeatable": [outcome.value for outcome in repeatable],
            "ids": [new_id() for _ in rows],
            "subjects": [row.subject for row in rows],
            "subject_keys": [row.subject_key for row in rows],
            "event_ids": [row.event_id for row in rows],
            "event_uuids": [row.event_uuid for row in rows],
            "states": [row.state.value for row in rows],
            "outcomes": [None if row.outcome is None else row.outcome.value for row in rows],
        },
    )
    return sum(state == State.QUEUED for (state,) in found)


async def lease_entries(
    session: AsyncSession,
    project_id: UUID,
    *,
    runtimes: Sequence[EvaluatorKind],
    holder: str,
    share: int,
    most: int,
    now: datetime,
    until: datetime,
) -> list[Leased]:
    """Take due entries of a project until a time, at most ``share`` of each evaluator; oldest first."""
    found = await session.execute(
        _LEASE,
        {
            "project_id": project_id,
            "runtimes": [kind.value for kind in runtimes],
            "holder": holder,
            "share": share,
            "most": most,
            "now": now,
            "until": until,
        },
    )
    return sorted((_leased(row) for row in found), key=lambda entry: entry.id)


async def renew_leases(session: AsyncSession, entry_ids: Sequence[UUID], *, holder: str, until: datetime) -> None:
    """Hold entries for longer."""
    mine = (LedgerRow.id.in_(entry_ids), LedgerRow.state == State.LEASED.value, LedgerRow.holder == holder)
    await session.execute(
        update(LedgerRow).where(*mine).values(due_at=until).execution_options(synchronize_session=False)
    )


async def free_leases(session: AsyncSession, project_id: UUID, *, holder: str, now: datetime) -> None:
    """Give back what a holder that has died held."""
    evaluator_ids = text("evaluator_id IN (SELECT id FROM evaluators WHERE project_id = :project_id)").bindparams(
        bindparam("project_id", project_id, type_=Uuid())
    )
    held = (LedgerRow.state == State.LEASED.value, LedgerRow.holder == holder)
    await session.execute(
        update(LedgerRow).where(evaluator_ids, *held).values(due_at=now).execution_options(synchronize_session=False)
    )


async def record_ended(
    session: AsyncSession, ended: Sequence[Ended], results: Mapping[UUID, Mapping[str, Any]], *, now: datetime
) -> dict[UUID, Row[Any]]:
    """Write outcomes down.

    Returns:
        ``id``, ``origin``, ``backfill_id`` and ``manual_runs`` of those that had no outcome before, by id.
    """
    ordered = sorted(ended, key=lambda one: one.entry_id)
    uses = [one.use for one in ordered]
    found = await session.execute(
        _RECORD,
        {
            "now": now,
            "ids": [one.entry_id for one in ordered],
            "outcomes": [one.outcome.value for one in ordered],
            "reasons": [None if one.reason is None else one.reason.value for one in ordered],
            "details": [one.detail for one in ordered],
            "results": [_json(results.get(one.entry_id)) for one in ordered],
            "costs": [None if use is None else use.cost_usd for use in uses],
            "inputs": [None if use is None else use.input_tokens for use in uses],
            "outputs": [None if use is None else use.output_tokens for use in uses],
            "started": [one.started_at for one in ordered],
        },
    )
    return {row.id: row for row in found}


async def postpone(session: AsyncSession, postponed: Sequence[Postponed], *, holder: str) -> None:
    """Put entries back."""
    if not postponed:
        return
    ordered = sorted(postponed, key=lambda one: one.entry_id)
    await session.execute(
        _POSTPONE,
        {
            "ids": [one.entry_id for one in ordered],
            "due": [one.due_at for one in ordered],
            "failed": [int(one.counts_as_attempt) for one in ordered],
            "holder": holder,
        },
    )


async def next_due(session: AsyncSession, project_id: UUID, runtimes: Sequence[EvaluatorKind]) -> datetime | None:
    """When the next entry of a project may be taken; None when none is open."""
    values = {"project_id": project_id, "runtimes": [kind.value for kind in runtimes]}
    found: datetime | None = (await session.execute(_NEXT_DUE, values)).scalar_one()
    return found


async def overdue_projects(session: AsyncSession, *, before: datetime) -> list[UUID]:
    """Projects with entries that should have been taken long ago."""
    return [project_id for (project_id,) in await session.execute(_OVERDUE, {"before": before})]


async def lock_entry(session: AsyncSession, evaluator_id: UUID, subject: UUID, version_id: UUID) -> LedgerRow | None:
    """The entry of an identity, locked."""
    query = select(LedgerRow).where(
        LedgerRow.evaluator_id == evaluator_id, LedgerRow.subject == subject, LedgerRow.version_id == version_id
    )
    return await session.scalar(query.with_for_update().execution_options(populate_existing=True))


async def count_open(session: AsyncSession, evaluator_id: UUID) -> int:
    """Entries of an evaluator without an outcome."""
    query = select(func.count()).where(LedgerRow.evaluator_id == evaluator_id, LedgerRow.state != State.DONE.value)
    return await session.scalar(query) or 0


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else dumps(value)


def _leased(row: Row[Any]) -> Leased:
    return Leased(
        id=row.id,
        project_id=row.project_id,
        evaluator_id=row.evaluator_id,
        version_id=row.version_id,
        runtime=EvaluatorKind(row.runtime),
        target=TargetKind(row.target),
        subject=row.subject,
        subject_key=row.subject_key,
        event_id=row.event_id,
        origin=Origin(row.origin),
        backfill_id=row.backfill_id,
        manual_runs=row.manual_runs,
        attempts=row.attempts,
        created_at=row.created_at,
    )


@dataclass(frozen=True, slots=True)
class Spend:
    """One judge's call that was paid for."""

    evaluator_id: UUID
    cost_usd: Decimal | None


_ADD_SPEND = text(
    """
    INSERT INTO evaluation_spend AS spend (evaluator_id, day, project_id, calls, cost_usd)
    SELECT evaluator_id, CAST(:day AS date), :project_id, calls, cost_usd
    FROM unnest(:evaluators, :calls, :costs) AS given (evaluator_id, calls, cost_usd)
    ON CONFLICT (evaluator_id, day) DO UPDATE
    SET calls = spend.calls + excluded.calls, cost_usd = spend.cost_usd + excluded.cost_usd
    """
).bindparams(
    bindparam("day", type_=Date()),
    bindparam("project_id", type_=Uuid()),
    bindparam("evaluators", type_=ARRAY(Uuid())),
    bindparam("calls", type_=ARRAY(Integer())),
    bindparam("costs", type_=ARRAY(Numeric())),
)


async def add_spend(session: AsyncSession, project_id: UUID, spends: Sequence[Spend], *, now: datetime) -> None:
    """Count calls and their cost on this day."""
    calls: dict[UUID, int] = defaultdict(int)
    costs: dict[UUID, Decimal] = defaultdict(Decimal)
    for spend in spends:
        calls[spend.evaluator_id] += 1
        costs[spend.evaluator_id] += spend.cost_usd or 0
    if not calls:
        return
    ordered = sorted(calls)
    values = {
        "day": now.date(),
        "project_id": project_id,
        "evaluators": ordered,
        "calls": [calls[one] for one in ordered],
        "costs": [costs[one] for one in ordered],
    }
    await session.execute(_ADD_SPEND, values)
