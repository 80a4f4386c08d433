"""Tables of events and of what is known of the persons behind them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.ownership import OwnedMixin
from assay.db.base import Base
from assay.kit.clock import utc_now
from assay.kit.ids import new_id


class EventRow(OwnedMixin, Base):
    """One captured event; ``created_at`` is when it arrived."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("project_id", "uuid"),
        Index(None, "project_id", "timestamp", "id"),
        Index(None, "project_id", "event", "timestamp", "id"),
        Index(None, "project_id", "distinct_id", "timestamp", "id"),
        Index(None, "project_id", "trace_id", "timestamp", "id", postgresql_where=text("trace_id IS NOT NULL")),
        Index(None, "project_id", "session_id", "timestamp", "id", postgresql_where=text("session_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    uuid: Mapped[UUID]
    event: Mapped[str]
    distinct_id: Mapped[str]
    timestamp: Mapped[datetime]
    # ``json``, not ``jsonb``: judges and programs see messages with the key order and number forms that were sent.
    properties: Mapped[dict[str, Any]] = mapped_column(JSON())
    trace_id: Mapped[str | None]
    session_id: Mapped[str | None]
    span_id: Mapped[str | None]
    parent_id: Mapped[str | None]


class PersonRow(Base):
    """The last properties that events set for a distinct id (P§7 no. 19)."""

    __tablename__ = "persons"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    distinct_id: Mapped[str] = mapped_column(primary_key=True)
    properties: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
