"""Tables of webhooks.

``position`` numbers an endpoint's deliveries within their subject; the lowest pending one is next. ``round_no`` counts
how often a delivery was asked for, so that an attempt that was under way when somebody asked again ends the older round
only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.ownership import OwnedMixin
from assay.core.webhooks.types import DeliveryStatus, OwnerKind
from assay.db.base import Base, enum_check


class EndpointRow(OwnedMixin, Base):
    """Where the events of one owner go."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        enum_check("owner_kind", OwnerKind),
        Index("ix_webhook_endpoints_project_id_id", "project_id", "id"),
        Index(
            "ix_webhook_endpoints_owner",
            "owner_kind",
            "owner_id",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_kind: Mapped[str]
    owner_id: Mapped[UUID]
    url: Mapped[str | None]
    sealed_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    updated_at: Mapped[datetime]


class DeliveryRow(Base):
    """An event and what became of it. The id is the event's."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        enum_check("status", DeliveryStatus),
        Index(
            "ix_webhook_deliveries_endpoint_id_subject_id_position",
            "endpoint_id",
            "subject_id",
            "position",
            unique=True,
        ),
        Index("ix_webhook_deliveries_endpoint_id_id", "endpoint_id", "id"),
        Index("ix_webhook_deliveries_pending", "next_attempt_at", postgresql_where=text("status = 'pending'")),
        Index("ix_webhook_deliveries_ended_at", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    type: Mapped[str]
    subject_id: Mapped[UUID]
    position: Mapped[int]
    snapshot: Mapped[dict[str, Any]]
    status: Mapped[str]
    reason: Mapped[str | None]
    round_no: Mapped[int] = mapped_column(default=1)
    tries: Mapped[int] = mapped_column(default=0)
    """Attempts of the present round."""
    attempt_count: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
