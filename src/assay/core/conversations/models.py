"""Tables of conversations."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.ownership import OwnedMixin
from assay.db.base import Base

# ``json``, not ``jsonb``: what a client stores comes back with its key order and its number forms.
_VERBATIM = JSON(none_as_null=True)


class ConversationRow(OwnedMixin, Base):
    """A conversation."""

    __tablename__ = "conversations"
    __table_args__ = (Index("ix_conversations_project_id_updated_at_id", "project_id", "updated_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    labels: Mapped[Any] = mapped_column("metadata", _VERBATIM)
    item_count: Mapped[int] = mapped_column(default=0)
    """How many there have ever been; also the position of the next."""
    updated_at: Mapped[datetime]


class ConversationItemRow(Base):
    """An item. Its id is unique in its conversation."""

    __tablename__ = "conversation_items"
    __table_args__ = (
        Index("ix_conversation_items_conversation_id_item_id", "conversation_id", "item_id", unique=True),
    )

    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item_id: Mapped[str]
    item: Mapped[Any] = mapped_column(_VERBATIM)
    response_id: Mapped[UUID | None]
    turn: Mapped[int | None]
    created_at: Mapped[datetime]
