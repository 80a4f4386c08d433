"""Tables of agents.

``agent_versions`` holds configurations and never changes; ``agents`` says which one is current. ``agent_runs`` holds
what was asked and where it stands, ``agent_run_steps`` what has happened for good, ``agent_run_events`` what was told.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.agents.types import RunOrigin, RunStatus, ScheduleStatus, StepKind
from assay.core.ownership import OwnedMixin
from assay.db.base import Base, enum_check

# ``json``, not ``jsonb``: what a client stores comes back with its key order and its number forms.
_VERBATIM = JSON(none_as_null=True)


class AgentRow(OwnedMixin, Base):
    """An agent. Its configuration is that of the version it names."""

    __tablename__ = "agents"
    __table_args__ = (Index("ix_agents_project_id_id", "project_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    updated_at: Mapped[datetime]
    retention_expires_at: Mapped[datetime | None]


class AgentVersionRow(Base):
    """A configuration."""

    __tablename__ = "agent_versions"
    __table_args__ = (Index("ix_agent_versions_agent_id_number", "agent_id", "number", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    number: Mapped[int]
    restored_from: Mapped[int | None]
    configuration: Mapped[Any] = mapped_column(_VERBATIM)
    created_at: Mapped[datetime]


class FunctionToolRow(OwnedMixin, Base):
    """A function definition."""

    __tablename__ = "function_tools"
    __table_args__ = (Index("ix_function_tools_project_id_id", "project_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    definition: Mapped[Any] = mapped_column(_VERBATIM)
    updated_at: Mapped[datetime]


class AgentScheduleRow(OwnedMixin, Base):
    """A schedule. The row is the definition; the clock is made to agree with it."""

    __tablename__ = "agent_schedules"
    __table_args__ = (
        enum_check("status", ScheduleStatus),
        Index("ix_agent_schedules_agent_id_id", "agent_id", "id"),
        Index("ix_agent_schedules_project_id_id", "project_id", "id"),
        Index("ix_agent_schedules_due", "next_due_at", postgresql_where=text("status = 'active'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    name: Mapped[str | None]
    status: Mapped[str]
    spec: Mapped[Any] = mapped_column(_VERBATIM)
    input: Mapped[Any] = mapped_column(_VERBATIM)
    conversation: Mapped[Any | None] = mapped_column(_VERBATIM)
    previous_response_id: Mapped[str | None]
    context_management: Mapped[list[Any] | None] = mapped_column(_VERBATIM)
    labels: Mapped[Any | None] = mapped_column("metadata", _VERBATIM)
    anchor_at: Mapped[datetime]
    """From where intervals without a start count: when the schedule was made, or last resumed or given another time."""
    revision: Mapped[int]
    settled_until: Mapped[datetime]
    """Everything due up to here has been carried out or counted as missed."""
    next_due_at: Mapped[datetime | None]
    last_run_at: Mapped[datetime | None]
    last_run_id: Mapped[UUID | None]
    run_count: Mapped[int]
    missed_count: Mapped[int]
    """Instants that passed while nothing ran: at most the latest of a stretch is made good."""
    updated_at: Mapped[datetime]


class AgentRunRow(OwnedMixin, Base):
    """A run. ``project_id`` and the other owner columns are those of whoever started it."""

    __tablename__ = "agent_runs"
    __table_args__ = (
        enum_check("status", RunStatus),
        enum_check("origin", RunOrigin),
        Index("ix_agent_runs_agent_id_id", "agent_id", "id"),
        Index("ix_agent_runs_project_id_id", "project_id", "id"),
        Index("ix_agent_runs_live", "agent_id", postgresql_where=text("status IN ('queued', 'submitting')")),
        # An instant of a schedule, a tool call and a sample's attempt make one run each, whoever asks how often.
        Index(
            "ix_agent_runs_fire",
            "schedule_id",
            "due_at",
            unique=True,
            postgresql_where=text("schedule_id IS NOT NULL"),
        ),
        Index(
            "ix_agent_runs_call",
            "parent_run_id",
            "parent_call_id",
            unique=True,
            postgresql_where=text("parent_run_id IS NOT NULL"),
        ),
        Index(
            "ix_agent_runs_sample",
            "sample_id",
            "sample_attempt",
            unique=True,
            postgresql_where=text("sample_id IS NOT NULL"),
        ),
        Index("ix_agent_runs_response_id", "response_id", postgresql_where=text("response_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    agent_version: Mapped[int]
    origin: Mapped[str]
    snapshot: Mapped[Any] = mapped_column(_VERBATIM)
    limits: Mapped[dict[str, Any]]
    status: Mapped[str]
    input: Mapped[Any] = mapped_column(_VERBATIM)
    conversation: Mapped[Any | None] = mapped_column(_VERBATIM)
    previous_response_id: Mapped[str | None]
    context_management: Mapped[list[Any] | None] = mapped_column(_VERBATIM)
    stream: Mapped[bool]
    labels: Mapped[Any | None] = mapped_column("metadata", _VERBATIM)
    response_id: Mapped[UUID | None]
    response: Mapped[Any | None] = mapped_column(_VERBATIM)
    error: Mapped[dict[str, Any] | None]
    turns: Mapped[int] = mapped_column(default=0)
    tool_calls: Mapped[int] = mapped_column(default=0)
    input_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    reasoning_tokens: Mapped[int | None]
    cost_usd: Mapped[Decimal | None]
    step_count: Mapped[int] = mapped_column(default=0)
    event_count: Mapped[int] = mapped_column(default=0)
    """Also the sequence number of the next event."""
    sleeping_until: Mapped[datetime | None]
    schedule_id: Mapped[UUID | None] = mapped_column(ForeignKey("agent_schedules.id"))
    due_at: Mapped[datetime | None]
    parent_run_id: Mapped[UUID | None] = mapped_column(ForeignKey("agent_runs.id"))
    parent_call_id: Mapped[str | None]
    depth: Mapped[int] = mapped_column(default=0)
    sample_id: Mapped[UUID | None]
    sample_attempt: Mapped[int | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]


class AgentRunStepRow(Base):
    """A finished step. Its key is what keeps it from being done twice."""

    __tablename__ = "agent_run_steps"
    __table_args__ = (
        enum_check("kind", StepKind),
        Index("ix_agent_run_steps_run_id_position", "run_id", "position", unique=True),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("agent_runs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    kind: Mapped[str]
    items: Mapped[list[Any]] = mapped_column(_VERBATIM)
    details: Mapped[Any] = mapped_column(_VERBATIM)
    input_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    reasoning_tokens: Mapped[int | None]
    cost_usd: Mapped[Decimal | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]


class AgentRunEventRow(Base):
    """An event. Only ever appended."""

    __tablename__ = "agent_run_events"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("agent_runs.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    type: Mapped[str]
    data: Mapped[Any] = mapped_column(_VERBATIM)
    created_at: Mapped[datetime]


class AgentRunWakeRow(Base):
    """Input for a sleeping run."""

    __tablename__ = "agent_run_wakes"
    __table_args__ = (Index("ix_agent_run_wakes_run_id_id", "run_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("agent_runs.id", ondelete="CASCADE"))
    input: Mapped[Any] = mapped_column(_VERBATIM)
    created_at: Mapped[datetime]
    taken_by: Mapped[str | None]
    """Key of the step that took it in."""


class AgentRunApprovalRow(Base):
    """A tool call that waits for a person."""

    __tablename__ = "agent_run_approvals"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("agent_runs.id", ondelete="CASCADE"), primary_key=True)
    request_id: Mapped[str] = mapped_column(primary_key=True)
    call: Mapped[Any] = mapped_column(_VERBATIM)
    approved: Mapped[bool | None]
    reason: Mapped[str | None]
    continuation_run_id: Mapped[UUID | None] = mapped_column(ForeignKey("agent_runs.id"))
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
