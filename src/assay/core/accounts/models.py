"""Tables of sessions and passwords."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from assay.db.base import Base
from assay.kit.clock import utc_now
from assay.kit.ids import new_id


class PasswordRow(Base):
    """The password of a local account, as argon2id hashes it."""

    __tablename__ = "passwords"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    hash: Mapped[str]
    failures: Mapped[int] = mapped_column(default=0)
    """Wrong ones in a row."""
    locked_until: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)


class SessionRow(Base):
    """A browser that signed in, as the SHA-256 of what its cookie holds."""

    __tablename__ = "web_sessions"
    __table_args__ = (Index("ix_web_sessions_user_id", "user_id"), Index("ix_web_sessions_expires_at", "expires_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    """The project that is shown."""
    key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    """The key that was used to sign in, which bounds what the session may do; None after a password."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
