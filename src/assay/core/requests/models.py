"""The table of remembered requests."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from assay.db.base import Base


class RememberedRequestRow(Base):
    """A request by its digest, with the response it was given. Written in the transaction that it caused."""

    __tablename__ = "remembered_requests"
    __table_args__ = (Index("ix_remembered_requests_expires_at", "expires_at"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    body_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    status_code: Mapped[int | None]
    content_type: Mapped[str | None]
    body: Mapped[bytes | None]
    expires_at: Mapped[datetime]
