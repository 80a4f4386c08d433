"""Tables of organizations, projects, users, memberships and API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Identity, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.projects.types import Role
from assay.db.base import Base, enum_check
from assay.kit.clock import utc_now
from assay.kit.ids import new_id


class OrganizationRow(Base):
    """A company or group. Its projects share members and nothing else."""

    __tablename__ = "organizations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ProjectRow(Base):
    """The unit that owns suites, runs, files, events and keys."""

    __tablename__ = "projects"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    number: Mapped[int] = mapped_column(Identity(always=True), unique=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), index=True)
    name: Mapped[str]
    capture_token: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    slug: Mapped[str | None]
    """A name for URLs; None for a project that never got one."""
    description: Mapped[str | None]
    settings: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    """What a client keeps with the project; nothing of ours reads it."""
    deactivated_at: Mapped[datetime | None]
    """Since when its owners call it inactive; it works all the same."""
    updated_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    """When it was deleted; its keys do not work any more, its rows stay for recovery."""


class UserRow(Base):
    """A person. Without a password: people come in through keys."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    number: Mapped[int] = mapped_column(Identity(always=True), unique=True)
    name: Mapped[str]
    email: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    deactivated_at: Mapped[datetime | None]


class MembershipRow(Base):
    """A user's role in an organization."""

    __tablename__ = "memberships"
    __table_args__ = (enum_check("role", Role),)

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ApiKeyRow(Base):
    """A key, as the SHA-256 of its text. The text is shown once and never stored."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "project_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    prefix: Mapped[str]
    scopes: Mapped[list[str]]
    may_delegate: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
