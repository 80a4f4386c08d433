"""Table of files."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.files.types import FilePurpose
from assay.core.ownership import OwnedMixin
from assay.db.base import Base, enum_check
from assay.kit.ids import new_id


class FileRow(OwnedMixin, Base):
    """A file. Its content is in the file store under ``storage_key``, and goes only after the row is deleted."""

    __tablename__ = "files"
    __table_args__ = (
        enum_check("purpose", FilePurpose),
        Index(None, "project_id", "created_at", "id"),
        Index(None, "project_id", "sha256"),
        Index(
            "ix_files_unswept",
            "deleted_at",
            postgresql_where=text("deleted_at IS NOT NULL AND content_removed_at IS NULL"),
        ),
        Index(
            "ix_files_expiring", "expires_at", postgresql_where=text("expires_at IS NOT NULL AND deleted_at IS NULL")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    filename: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    content_type: Mapped[str]
    storage_key: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime | None]
    content_removed_at: Mapped[datetime | None]
    """When the content of a deleted file was removed from the store."""
