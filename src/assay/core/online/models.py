"""Tables of online evaluation.

``due_at`` is when an entry may be taken: for a queued one the end of a window or a pause, for a leased one the end of
its lease. So a lease that ran out needs nobody to notice.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.evaluators.types import EvaluatorKind, TargetKind
from assay.core.online.types import BackfillStatus, Origin, Outcome, State
from assay.core.ownership import OwnedMixin
from assay.db.base import Base, enum_check
from assay.kit.clock import utc_now
from assay.kit.ids import new_id


class LedgerRow(Base):
    """One evaluator's version and one subject. Whose it is follows from the evaluator."""

    __tablename__ = "online_evaluations"
    __table_args__ = (
        enum_check("runtime", EvaluatorKind),
        enum_check("target", TargetKind),
        enum_check("origin", Origin),
        enum_check("state", State),
        enum_check("outcome", Outcome),
        # The evaluator first: a trace is judged once for each evaluator, whatever its version.
        Index("ix_online_evaluations_identity", "evaluator_id", "subject", "version_id", unique=True),
        Index("ix_online_evaluations_evaluator_id_id", "evaluator_id", "id"),
        Index("ix_online_evaluations_open", "evaluator_id", "due_at", postgresql_where=text("state <> 'done'")),
        Index("ix_online_evaluations_backfill_id", "backfill_id", postgresql_where=text("backfill_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    project_id: Mapped[UUID]
    evaluator_id: Mapped[UUID] = mapped_column(ForeignKey("evaluators.id"))
    version_id: Mapped[UUID]
    runtime: Mapped[str]
    target: Mapped[str]
    subject: Mapped[UUID]
    """The generation's uuid; of a trace or session, a uuid derived from ``subject_key``."""
    subject_key: Mapped[str | None]
    event_id: Mapped[UUID]
    event_uuid: Mapped[UUID]
    origin: Mapped[str]
    backfill_id: Mapped[UUID | None]
    manual_runs: Mapped[list[Any]] = mapped_column(default=list)
    """Ids of runs by hand that wait for this entry; each gets a result event of its own."""
    state: Mapped[str]
    due_at: Mapped[datetime]
    holder: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    outcome: Mapped[str | None]
    reason: Mapped[str | None]
    detail: Mapped[str | None]
    result: Mapped[dict[str, Any] | None]
    cost_usd: Mapped[Decimal | None]
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class BackfillRow(OwnedMixin, Base):
    """An evaluator, taken over stored events."""

    __tablename__ = "evaluation_backfills"
    __table_args__ = (enum_check("status", BackfillStatus), Index(None, "evaluator_id", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    evaluator_id: Mapped[UUID] = mapped_column(ForeignKey("evaluators.id"))
    status: Mapped[str]
    scope: Mapped[dict[str, Any]]
    cursor_time: Mapped[datetime | None]
    """With ``cursor_id``, the last event that was looked at."""
    cursor_id: Mapped[UUID | None]
    scanned: Mapped[bool] = mapped_column(default=False)
    """Whether all events of the scope have been looked at."""
    examined: Mapped[int] = mapped_column(default=0)
    enrolled: Mapped[int] = mapped_column(default=0)
    existing: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    ended_at: Mapped[datetime | None]


class BreakerRow(Base):
    """What is known of a way to a provider that fails; a way that works has no row or a closed one."""

    __tablename__ = "provider_breakers"

    key: Mapped[str] = mapped_column(primary_key=True)
    """``key:<provider key id>`` or ``catalog:<provider>``."""
    failures: Mapped[int]
    """In a row."""
    open_until: Mapped[datetime | None]
    """None while closed. Once it has passed, one call may probe."""
    probing_until: Mapped[datetime | None]
    """While somebody probes."""
    updated_at: Mapped[datetime]


class BudgetRow(Base):
    """What judging may cost in a day (UTC). Without an evaluator, that of the whole project."""

    __tablename__ = "evaluation_budgets"
    __table_args__ = (
        Index(
            "ix_evaluation_budgets_owner", "project_id", "evaluator_id", unique=True, postgresql_nulls_not_distinct=True
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"))
    evaluator_id: Mapped[UUID | None] = mapped_column(ForeignKey("evaluators.id"))
    max_usd_per_day: Mapped[Decimal | None]
    max_calls_per_day: Mapped[int | None]
    updated_at: Mapped[datetime]


class SpendRow(Base):
    """What judging by one evaluator has used on one day (UTC)."""

    __tablename__ = "evaluation_spend"
    __table_args__ = (Index(None, "project_id", "day"),)

    evaluator_id: Mapped[UUID] = mapped_column(ForeignKey("evaluators.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    project_id: Mapped[UUID]
    calls: Mapped[int]
    cost_usd: Mapped[Decimal]
