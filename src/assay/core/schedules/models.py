"""Tables of schedules.

``schedules`` holds the definitions and how far each is settled; ``schedule_fires`` holds one row for each instant that
was due (or for a stretch of missed ones) and for each manual trigger.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.ownership import OwnedMixin
from assay.core.schedules.types import FireKind, FireOutcome, OverlapPolicy
from assay.db.base import Base, enum_check


class ScheduleRow(OwnedMixin, Base):
    """A schedule. The row is the definition; the clock is made to agree with it."""

    __tablename__ = "schedules"
    __table_args__ = (
        enum_check("overlap_policy", OverlapPolicy),
        Index("ix_schedules_project_id_id", "project_id", "id"),
        Index("ix_schedules_suite_id", "suite_id"),
        Index("ix_schedules_due", "next_due_at", postgresql_where=text("enabled AND deleted_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str | None]
    suite_id: Mapped[UUID] = mapped_column(ForeignKey("suites.id", ondelete="CASCADE"))
    suite_version: Mapped[int | None]
    cron: Mapped[str | None]
    interval_seconds: Mapped[int | None]
    timezone: Mapped[str]
    anchor_at: Mapped[datetime]
    overlap_policy: Mapped[str]
    enabled: Mapped[bool]
    """A token of ``kit.secrets.SecretBox``."""
    run: Mapped[dict[str, Any]]
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    revision: Mapped[int] = mapped_column(default=1)
    settled_until: Mapped[datetime]
    """Everything due up to here has its record."""
    next_due_at: Mapped[datetime | None]
    last_run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"))
    updated_at: Mapped[datetime]


class FireRow(Base):
    """What became of a fire. The unique index is what keeps an instant from being carried out twice."""

    __tablename__ = "schedule_fires"
    __table_args__ = (
        enum_check("kind", FireKind),
        enum_check("outcome", FireOutcome),
        Index("ix_schedule_fires_schedule_id_id", "schedule_id", "id"),
        Index(
            "ix_schedule_fires_due",
            "schedule_id",
            "due_at",
            unique=True,
            postgresql_where=text("kind <> 'manual'"),
        ),
        Index(
            "ix_schedule_fires_pending",
            "schedule_id",
            unique=True,
            postgresql_where=text("outcome = 'buffered'"),
        ),
        Index("ix_schedule_fires_run_id", "run_id", unique=True, postgresql_where=text("run_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    schedule_id: Mapped[UUID] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    due_at: Mapped[datetime]
    last_due_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(default=1)
    kind: Mapped[str]
    outcome: Mapped[str]
    reason: Mapped[str | None]
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"))
    blocked_by: Mapped[UUID | None]
    recorded_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
