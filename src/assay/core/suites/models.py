"""Tables of suites."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.ownership import OwnedMixin
from assay.db.base import Base


class SuiteRow(OwnedMixin, Base):
    """A suite. Listed newest first within a project."""

    __tablename__ = "suites"
    __table_args__ = (Index("ix_suites_project_id_id", "project_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str | None]
    active_version: Mapped[int]
    latest_version: Mapped[int]
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    updated_at: Mapped[datetime]


class SuiteVersionRow(Base):
    """A version; rows are only ever added."""

    __tablename__ = "suite_versions"
    __table_args__ = (UniqueConstraint("suite_id", "version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    suite_id: Mapped[UUID] = mapped_column(ForeignKey("suites.id", ondelete="CASCADE"))
    version: Mapped[int]
    manifest: Mapped[dict[str, Any]]
    dataset_file_ids: Mapped[list[str]]
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_at: Mapped[datetime]


class SuiteShareRow(Base):
    """Leave for an organization to read a suite with all its versions and runs."""

    __tablename__ = "suite_shares"
    __table_args__ = (
        UniqueConstraint("suite_id", "organization_id"),
        Index("ix_suite_shares_organization_id", "organization_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    suite_id: Mapped[UUID] = mapped_column(ForeignKey("suites.id", ondelete="CASCADE"))
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    """Who may read."""
    granted_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
