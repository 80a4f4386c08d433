"""Tables of responses: what was asked and where it stands, its items, and its steps."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.ownership import OwnedMixin
from assay.core.responses.types import ResponseStatus, StepKind, StepStatus
from assay.db.base import Base, enum_check

# ``json``, not ``jsonb``: what a client stores comes back with its key order and its number forms.
_VERBATIM = JSON(none_as_null=True)


class ResponseRow(OwnedMixin, Base):
    """A response."""

    __tablename__ = "responses"
    __table_args__ = (
        enum_check("status", ResponseStatus),
        Index("ix_responses_project_id_id", "project_id", "id"),
        Index("ix_responses_previous_id", "previous_id", postgresql_where=text("previous_id IS NOT NULL")),
        Index("ix_responses_conversation_id", "conversation_id", postgresql_where=text("conversation_id IS NOT NULL")),
        Index("ix_responses_run_id", "run_id", unique=True, postgresql_where=text("run_id IS NOT NULL")),
        Index("ix_responses_unstored", "completed_at", postgresql_where=text("NOT stored")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str]
    model: Mapped[str]
    model_number: Mapped[int] = mapped_column(default=0)
    """Which of the model and its fallbacks is asked; once a fallback has answered, it stays."""
    resolved_model: Mapped[str | None]
    resolved_provider: Mapped[str | None]
    settings: Mapped[Any] = mapped_column(_VERBATIM)
    tools: Mapped[Any] = mapped_column(_VERBATIM)
    """As sent, secrets sealed."""
    resolved_tools: Mapped[Any] = mapped_column(_VERBATIM)
    """The same with definitions in place of references, as they were when the response was made."""
    limits: Mapped[dict[str, Any]]
    conversation_id: Mapped[UUID | None] = mapped_column(ForeignKey("conversations.id"))
    previous_id: Mapped[UUID | None]
    background: Mapped[bool]
    stored: Mapped[bool]
    labels: Mapped[Any] = mapped_column("metadata", _VERBATIM)
    max_tool_calls: Mapped[int | None]
    error: Mapped[dict[str, Any] | None]
    incomplete_reason: Mapped[str | None]
    turns: Mapped[int] = mapped_column(default=0)
    tool_calls: Mapped[int] = mapped_column(default=0)
    step_count: Mapped[int] = mapped_column(default=0)
    item_count: Mapped[int] = mapped_column(default=0)
    input_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    reasoning_tokens: Mapped[int | None]
    cost_usd: Mapped[Decimal | None]
    sleeping_until: Mapped[datetime | None]
    wake_input: Mapped[Any | None] = mapped_column(_VERBATIM)
    """What the next sleep ends with."""
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("agent_runs.id"))
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]


class ResponseItemRow(Base):
    """An item of a response's input or output. Only ever appended."""

    __tablename__ = "response_items"
    __table_args__ = (Index("ix_response_items_item_id", "item_id"),)

    response_id: Mapped[UUID] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    is_output: Mapped[bool]
    turn: Mapped[int | None]
    item_id: Mapped[str]
    item: Mapped[Any] = mapped_column(_VERBATIM)
    created_at: Mapped[datetime]


class ResponseStepRow(Base):
    """A step, from when it is known that it has to be done."""

    __tablename__ = "response_steps"
    __table_args__ = (enum_check("kind", StepKind), enum_check("status", StepStatus))

    response_id: Mapped[UUID] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    status: Mapped[str]
    turn: Mapped[int | None]
    details: Mapped[Any] = mapped_column(_VERBATIM)
    """Of a call: ``call_id``, ``name``, ``arguments``; of a list: the server's number."""
    result: Mapped[Any | None] = mapped_column(_VERBATIM)
    attempts: Mapped[int] = mapped_column(default=0)
    child_run_id: Mapped[UUID | None] = mapped_column(ForeignKey("agent_runs.id"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class UsedApprovalRow(Base):
    """An approval request that was decided; its key is what makes the decision single."""

    __tablename__ = "used_approvals"
    __table_args__ = (Index("ix_used_approvals_response_id", "response_id"),)

    request_id: Mapped[str] = mapped_column(primary_key=True)
    response_id: Mapped[UUID] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"))
    """The response that goes on with it."""
    approved: Mapped[bool]
    created_at: Mapped[datetime]
