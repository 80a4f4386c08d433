"""The outbox table."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.outbox.types import Action
from assay.db.base import Base, enum_check


class OutboxRow(Base):
    """A command that waits to be carried out; deleted once it has been."""

    __tablename__ = "outbox"
    __table_args__ = (enum_check("action", Action), Index("ix_outbox_due_at", "due_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    action: Mapped[str]
    workflow: Mapped[str]
    workflow_id: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    last_error: Mapped[str | None]
