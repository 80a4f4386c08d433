"""The ledger of online evaluation as this dialect writes it. But for runs by hand, the paths and fields are ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request
from pydantic import AwareDatetime, Field, NaiveDatetime

from assay.core.capture.validation import read_time
from assay.core.events.types import GENERATION
from assay.core.online.backfills import MAX_LIMIT as MOST_ENTRIES
from assay.core.online.breakers import Breaker
from assay.core.online.budgets import Budget
from assay.core.online.service import ManualRun, RunRequest
from assay.core.online.types import (
    Backfill,
    BackfillScope,
    Entry,
    EntryQuery,
    Origin,
    Outcome,
    Reason,
    State,
    Summary,
    Tally,
)
from assay.dialects.posthog.errors import FieldError
from assay.dialects.posthog.mapping import render_time
from assay.dialects.posthog.query import page_url, read_choice, read_id
from assay.dialects.posthog.wire import JsonList, Wire, moment

CURSOR = "cursor"
MOST_CALLS = 2**31 - 1
Time = AwareDatetime | NaiveDatetime


class RunInput(Wire):
    """A run by hand (P§4.1)."""

    evaluation_id: UUID
    target_event_id: UUID
    timestamp: Time
    event: str = GENERATION
    distinct_id: str | None = None


class BackfillInput(Wire):
    """A backfill to begin."""

    after: Time
    before: Time | None = None
    properties: JsonList = Field(default_factory=list[Any])
    apply_conditions: bool = True
    limit: Annotated[int, Field(ge=1, le=MOST_ENTRIES)] = 10_000


class BudgetInput(Wire):
    """A budget to set; null is no limit."""

    max_usd_per_day: Annotated[Decimal | None, Field(ge=0, le=10**9, allow_inf_nan=False)] = None
    max_calls_per_day: Annotated[int | None, Field(ge=0, le=MOST_CALLS)] = None


def run_request(wire: RunInput) -> RunRequest:
    """A run in the core's words."""
    return RunRequest(
        evaluator_id=wire.evaluation_id,
        event_uuid=wire.target_event_id,
        timestamp=moment(wire.timestamp) or wire.timestamp,
        event=wire.event,
        distinct_id=wire.distinct_id,
    )


def render_run(run: ManualRun) -> dict[str, Any]:
    """What is answered to a run by hand (P§4.1)."""
    return {
        "workflow_id": run.id,
        "status": "started",
        "evaluation": {"id": str(run.evaluator.id), "name": run.evaluator.name},
        "target_event_id": str(run.event.uuid),
    }


def backfill_scope(wire: BackfillInput, now: datetime) -> BackfillScope:
    """A backfill's events in the core's words.

    Raises:
        FieldError: A filter is no object.
    """
    if not all(isinstance(item, dict) for item in wire.properties):
        raise FieldError("properties", "invalid", "Each filter must be an object with `key`, `value` and `operator`.")
    return BackfillScope(
        after=moment(wire.after) or now,
        before=moment(wire.before) or now,
        filters=wire.properties,
        apply_conditions=wire.apply_conditions,
        limit=wire.limit,
    )


def read_entry_query(request: Request) -> EntryQuery:
    """The filters of a list of entries.

    Raises:
        FieldError: One cannot be read, or there is neither an evaluation nor a target.
    """
    query = EntryQuery(
        evaluator_id=read_id(request, "evaluation_id"),
        target_id=request.query_params.get("target_id") or None,
        state=read_choice(request, "state", State),
        outcome=read_choice(request, "outcome", Outcome),
        reason=read_choice(request, "reason", Reason),
        origin=read_choice(request, "trigger", Origin),
        backfill_id=read_id(request, "backfill_id"),
        after=read_moment(request, "after"),
        before=read_moment(request, "before"),
    )
    if query.evaluator_id is None and query.target_id is None:
        raise FieldError("evaluation_id", "required", "Give `evaluation_id`, `target_id`, or both.")
    return query


def read_moment(request: Request, name: str) -> datetime | None:
    """A time to filter by; without a zone it is UTC.

    Raises:
        FieldError: It is no time.
    """
    text = request.query_params.get(name)
    if not text:
        return None
    found = read_time(text)
    if found is None:
        raise FieldError(name, "invalid", f"`{text[:64]}` is not a time in ISO 8601.")
    return found


def render_entries(request: Request, entries: Sequence[Entry], limit: int) -> dict[str, Any]:
    """A page; ``next`` keeps every other parameter."""
    shown = entries[:limit]
    following = None
    if len(entries) > limit:
        following = str(page_url(request).include_query_params(**{CURSOR: str(shown[-1].id)}))
    return {"next": following, "results": [_entry(entry) for entry in shown]}


def render_summary(summary: Summary, breaker: Breaker | None) -> dict[str, Any]:
    """An evaluator's entries, counted."""
    return {
        "evaluation_id": str(summary.evaluator_id),
        "counts": [_tally(tally) for tally in summary.tallies],
        "cost_usd": _money(summary.cost_usd),
        "oldest_due_seconds": summary.oldest_due_seconds,
        "next_due_at": _time(summary.next_due_at),
        "median_seconds": summary.median_seconds,
        "breaker": {
            "state": "closed" if breaker is None else breaker.state.value,
            "failures": 0 if breaker is None else breaker.failures,
            "open_until": None if breaker is None else _time(breaker.open_until),
        },
    }


def render_backfill(backfill: Backfill) -> dict[str, Any]:
    """A backfill and its progress."""
    scope = backfill.scope
    return {
        "id": str(backfill.id),
        "evaluation_id": str(backfill.evaluator_id),
        "status": backfill.status.value,
        "after": render_time(scope.after),
        "before": render_time(scope.before),
        "properties": list(scope.filters),
        "apply_conditions": scope.apply_conditions,
        "limit": scope.limit,
        "examined": backfill.examined,
        "enrolled": backfill.enrolled,
        "existing": backfill.existing,
        "counts": [_tally(tally) for tally in backfill.tallies],
        "error": backfill.error,
        "created_at": render_time(backfill.created_at),
        "ended_at": _time(backfill.ended_at),
    }


def render_budget(budget: Budget) -> dict[str, Any]:
    """A budget, and what the present day has used of it."""
    return {
        "evaluation_id": None if budget.evaluator_id is None else str(budget.evaluator_id),
        "max_usd_per_day": _money(budget.max_usd_per_day),
        "max_calls_per_day": budget.max_calls_per_day,
        "usd_today": _money(budget.usd_today),
        "calls_today": budget.calls_today,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "id": str(entry.id),
        "evaluation_id": str(entry.evaluator_id),
        "evaluation_version_id": str(entry.version_id),
        "evaluation_type": entry.runtime.value,
        "target": entry.target.value,
        "target_id": entry.subject_key or str(entry.subject),
        "event_id": str(entry.event_uuid),
        "trigger": entry.origin.value,
        "backfill_id": None if entry.backfill_id is None else str(entry.backfill_id),
        "state": entry.state.value,
        "outcome": None if entry.outcome is None else entry.outcome.value,
        "reason": None if entry.reason is None else entry.reason.value,
        "detail": entry.detail,
        "result": entry.result,
        "attempts": entry.attempts,
        "cost_usd": _money(entry.cost_usd),
        "input_tokens": entry.input_tokens,
        "output_tokens": entry.output_tokens,
        "due_at": render_time(entry.due_at),
        "created_at": render_time(entry.created_at),
        "started_at": _time(entry.started_at),
        "finished_at": _time(entry.finished_at),
    }


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "state": tally.state.value,
        "outcome": None if tally.outcome is None else tally.outcome.value,
        "reason": None if tally.reason is None else tally.reason.value,
        "count": tally.count,
    }


def _money(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _time(value: datetime | None) -> str | None:
    return None if value is None else render_time(value.astimezone(UTC))
