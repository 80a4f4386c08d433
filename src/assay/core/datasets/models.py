"""Tables of stored datasets and their items."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.ownership import OwnedMixin
from assay.db.base import Base
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

# ``json``, not ``jsonb``: what a client stores comes back with its key order and its number forms.
_VERBATIM = JSON(none_as_null=True)


class DatasetRow(OwnedMixin, Base):
    """A named collection of examples that people and programs add to."""

    __tablename__ = "datasets"
    __table_args__ = (Index(None, "project_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    description: Mapped[str | None]
    details: Mapped[Any | None] = mapped_column("metadata", _VERBATIM)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class DatasetItemRow(OwnedMixin, Base):
    """One example, with the production event that it came from."""

    __tablename__ = "dataset_items"
    __table_args__ = (
        Index(None, "project_id", "created_at", "id"),
        Index(None, "dataset_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id"))
    position: Mapped[int | None] = mapped_column(BigInteger)
    """Its place, for APIs whose datasets have an order; None for items that were added one by one."""
    input: Mapped[Any | None] = mapped_column(_VERBATIM)
    expected: Mapped[Any | None] = mapped_column(_VERBATIM)
    details: Mapped[Any | None] = mapped_column("metadata", _VERBATIM)
    source_trace_id: Mapped[str | None]
    source_timestamp: Mapped[datetime | None]
    source_event_id: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
