"""The ledger of online evaluation.

An entry is one evaluator's version and one subject: a generation, a trace or a session. However often it is asked for,
by capture, by hand or by a backfill, the entry is one and has one outcome:

    queued ──lease──> leased ──record──> done (an outcome)
      ^                 │
      └── lease ran out, or to be tried again ──┘

An entry whose outcome says that nobody looked, or that looking failed, may be asked for again; a verdict stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from assay.core.evaluators.types import EvaluatorKind, TargetKind


class Origin(StrEnum):
    """Who asked."""

    LIVE = "live"
    MANUAL = "manual"
    BACKFILL = "backfill"


class State(StrEnum):
    """How far an entry is."""

    QUEUED = "queued"
    LEASED = "leased"
    """A worker is at it, until its lease runs out."""
    DONE = "done"


class Outcome(StrEnum):
    """What came of an entry."""

    SCORED = "scored"
    NOT_APPLICABLE = "not_applicable"
    """The evaluator looked, and says that its question does not arise."""
    SKIPPED = "skipped"
    """Nothing could be said; the reason tells why."""
    SAMPLED_OUT = "sampled_out"
    """It matched, and was left out by the evaluator's rollout percentage."""
    OVER_BUDGET = "over_budget"
    FAILED = "failed"
    """The evaluator itself did not work; the reason tells why."""

    @property
    def is_verdict(self) -> bool:
        """Whether somebody looked and said something; such an outcome is final."""
        return self in (Outcome.SCORED, Outcome.NOT_APPLICABLE)


REPEATABLE = tuple(outcome for outcome in Outcome if not outcome.is_verdict)


class Reason(StrEnum):
    """Why nothing was said. Those of the published API keep its words (P§3.5)."""

    TRACE_ERRORED = "trace_errored"
    CONTEXT_WINDOW_EXCEEDED = "context_window_exceeded"
    OUTPUT_LIMIT_EXCEEDED = "output_limit_exceeded"
    UNPARSABLE_RESPONSE = "unparsable_response"
    SCORE_OUT_OF_BOUNDS = "score_out_of_bounds"
    TRACE_NOT_FOUND = "trace_not_found"
    TRACE_TOO_LARGE = "trace_too_large"

    EVENT_GONE = "event_gone"
    """The event was deleted before its turn came."""
    EVALUATOR_PAUSED = "evaluator_paused"
    EVALUATOR_ERROR = "evaluator_error"
    """The evaluator had switched itself off."""
    EVALUATOR_DELETED = "evaluator_deleted"
    BACKFILL_CANCELLED = "backfill_cancelled"

    PROVIDER_KEY_INVALID = "provider_key_invalid"
    PROVIDER_KEY_PERMISSION_DENIED = "provider_key_permission_denied"
    PROVIDER_KEY_QUOTA_EXCEEDED = "provider_key_quota_exceeded"
    PROVIDER_KEY_RATE_LIMITED = "provider_key_rate_limited"
    PROVIDER_KEY_DELETED = "provider_key_deleted"
    PROVIDER_KEY_REQUIRED = "provider_key_required"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_NOT_SUPPORTED = "model_not_supported"
    NO_DEFAULT_MODEL = "no_default_model"
    HOG_ERROR = "hog_error"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    """Refused connections, 5xx and timeouts, at every attempt."""
    REQUEST_REJECTED = "request_rejected"
    """The provider found the request faulty."""
    EVALUATOR_BUDGET = "evaluator_budget"
    PROJECT_BUDGET = "project_budget"
    INTERNAL = "internal"
    """A fault of Assay's own, at every attempt."""


WRITTEN_SKIPS = frozenset(
    {
        Reason.TRACE_ERRORED,
        Reason.CONTEXT_WINDOW_EXCEEDED,
        Reason.OUTPUT_LIMIT_EXCEEDED,
        Reason.UNPARSABLE_RESPONSE,
        Reason.SCORE_OUT_OF_BOUNDS,
        Reason.TRACE_NOT_FOUND,
        Reason.TRACE_TOO_LARGE,
    }
)
"""Reasons that the published API tells of in a result event; the others leave none (P§3.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an evaluator said; exactly one of the values is set in a scored one."""

    reasoning: str = ""
    applicable: bool = True
    verdict: bool | None = None
    score: float | int | None = None
    categories: Sequence[str] | None = None
    sentiment: Mapping[str, Any] | None = None
    """``label``, ``score``, ``scores``, ``messages``, ``message_count``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """What a judge's calls used, all attempts of one turn together."""

    model: str
    provider: str
    key_id: UUID | None = None
    """None where the model comes from the catalog of the installation."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    """None when no price is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An entry's outcome."""

    entry_id: UUID
    outcome: Outcome
    reason: Reason | None = None
    detail: str | None = None
    finding: Finding | None = None
    use: ModelUse | None = None
    key_id: UUID | None = None
    """The provider key that a call was refused with."""
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """An entry that goes back, to be taken up later."""

    entry_id: UUID
    due_at: datetime
    counts_as_attempt: bool = False
    use: ModelUse | None = None
    """Of the call that was made for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """An entry that this worker is to carry out."""

    id: UUID
    project_id: UUID
    evaluator_id: UUID
    version_id: UUID
    runtime: EvaluatorKind
    target: TargetKind
    subject: UUID
    subject_key: str | None
    """Id of the trace or the session; None for a generation."""
    event_id: UUID
    """The generation, or the first one of the trace or the session."""
    origin: Origin
    backfill_id: UUID | None
    manual_runs: Sequence[str]
    attempts: int
    """Attempts that failed before."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as it is shown."""

    id: UUID
    evaluator_id: UUID
    version_id: UUID
    runtime: EvaluatorKind
    target: TargetKind
    subject: UUID
    subject_key: str | None
    event_uuid: UUID
    origin: Origin
    backfill_id: UUID | None
    state: State
    outcome: Outcome | None
    reason: Reason | None
    detail: str | None
    result: Mapping[str, Any] | None
    attempts: int
    cost_usd: Decimal | None
    input_tokens: int | None
    output_tokens: int | None
    due_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryQuery:
    """Which entries to list; conditions hold together."""

    evaluator_id: UUID | None = None
    target_id: str | None = None
    """UUID of a generation, or id of a trace or session."""
    state: State | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    origin: Origin | None = None
    backfill_id: UUID | None = None
    after: datetime | None = None
    """Enrolled at or after this."""
    before: datetime | None = None
    """Enrolled before this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Entries of one evaluator that ended the same way."""

    state: State
    outcome: Outcome | None
    reason: Reason | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One evaluator's entries, counted."""

    evaluator_id: UUID
    tallies: Sequence[Tally] = ()
    cost_usd: Decimal | None = None
    """Of what has a known price; None when nothing has."""
    oldest_due_seconds: float | None = None
    """For how long the first entry that is due has been waiting; None when none is."""
    next_due_at: datetime | None = None
    median_seconds: float | None = None
    """From enrolment to outcome, of the last thousand."""


class BackfillStatus(StrEnum):
    """How far a backfill is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self in (BackfillStatus.COMPLETED, BackfillStatus.CANCELLED, BackfillStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillScope:
    """Which stored generations a backfill takes."""

    after: datetime
    before: datetime
    filters: Sequence[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    """All must hold; as in a condition's ``properties``."""
    apply_conditions: bool = True
    """Whether the evaluator's conditions and rollout decide too, as they do live."""
    limit: int = 10_000
    """Most entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A backfill as it is shown."""

    id: UUID
    evaluator_id: UUID
    status: BackfillStatus
    scope: BackfillScope
    examined: int
    """Events looked at."""
    enrolled: int
    """Entries that this backfill made or took up again."""
    existing: int
    """Events that had an outcome already, or were on their way."""
    tallies: Sequence[Tally]
    error: str | None
    created_by: UUID | None
    created_at: datetime
    ended_at: datetime | None
