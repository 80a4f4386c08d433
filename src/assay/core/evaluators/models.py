"""Tables of evaluators and provider keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.evaluators.types import (
    EvaluatorKind,
    EvaluatorStatus,
    KeyProvider,
    KeyState,
    OutputKind,
    StatusReason,
    TargetKind,
)
from assay.core.ownership import OwnedMixin
from assay.db.base import Base, enum_check
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

# ``json``, not ``jsonb``: filters and bounds come back with their key order and their number forms.
_VERBATIM = JSON(none_as_null=True)


class EvaluatorRow(OwnedMixin, Base):
    """An evaluator as it is now; ``version`` names its row among the versions."""

    __tablename__ = "evaluators"
    __table_args__ = (
        enum_check("kind", EvaluatorKind),
        enum_check("output_kind", OutputKind),
        enum_check("target", TargetKind),
        enum_check("status", EvaluatorStatus),
        enum_check("status_reason", StatusReason),
        enum_check("provider", KeyProvider),
        Index(None, "project_id", "created_at", "id"),
        Index("ix_evaluators_enabled", "project_id", postgresql_where=text("enabled AND deleted_at IS NULL")),
        Index("ix_evaluators_provider_key_id", "provider_key_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    enabled: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str] = mapped_column(default=EvaluatorStatus.PAUSED.value)
    status_reason: Mapped[str | None]
    status_reason_detail: Mapped[str | None]
    kind: Mapped[str]
    config: Mapped[dict[str, Any]] = mapped_column(_VERBATIM)
    output_kind: Mapped[str]
    output_config: Mapped[dict[str, Any]] = mapped_column(_VERBATIM)
    target: Mapped[str]
    target_config: Mapped[dict[str, Any]] = mapped_column(_VERBATIM)
    provider: Mapped[str | None]
    model: Mapped[str | None]
    provider_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("provider_keys.id"))
    conditions: Mapped[list[Any]] = mapped_column(_VERBATIM)
    directory_id: Mapped[UUID | None]
    version: Mapped[int]
    """Number of its present version."""
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class EvaluatorVersionRow(Base):
    """A definition that an evaluator has had; rows are only ever added."""

    __tablename__ = "evaluator_versions"
    __table_args__ = (UniqueConstraint("evaluator_id", "number"), UniqueConstraint("evaluator_id", "digest"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    evaluator_id: Mapped[UUID] = mapped_column(ForeignKey("evaluators.id", ondelete="CASCADE"))
    number: Mapped[int]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of the definition: equal definitions of an evaluator are one version."""
    kind: Mapped[str]
    config: Mapped[dict[str, Any]] = mapped_column(_VERBATIM)
    output_kind: Mapped[str]
    output_config: Mapped[dict[str, Any]] = mapped_column(_VERBATIM)
    target: Mapped[str]
    target_config: Mapped[dict[str, Any]] = mapped_column(_VERBATIM)
    provider: Mapped[str | None]
    model: Mapped[str | None]
    provider_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("provider_keys.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ProviderKeyRow(OwnedMixin, Base):
    """A key with which judges call a provider. A deleted one keeps its row for references, without its secret."""

    __tablename__ = "provider_keys"
    __table_args__ = (
        enum_check("provider", KeyProvider),
        enum_check("state", KeyState),
        Index(None, "project_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    provider: Mapped[str]
    name: Mapped[str]
    sealed_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    """None once the key is deleted."""
    masked: Mapped[str]
    base_url: Mapped[str | None]
    azure_endpoint: Mapped[str | None]
    api_version: Mapped[str | None]
    state: Mapped[str] = mapped_column(default=KeyState.UNKNOWN.value)
    error_message: Mapped[str | None]
    last_used_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class EvaluationSettingsRow(Base):
    """What holds for all evaluators of a project; made when it is first asked for."""

    __tablename__ = "evaluation_settings"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    active_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("provider_keys.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
