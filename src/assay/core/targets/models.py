"""Tables of agents, prompts, dataset versions and suggestions.

JSON columns are ``json``, not ``jsonb``: what a client stores comes back with its key order and its number forms.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.ownership import OwnedMixin
from assay.core.targets.types import DatasetOrigin, SuggestionStatus
from assay.db.base import Base, enum_check
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

_VERBATIM = JSON(none_as_null=True)
_Json = Mapped[Any | None]


def _json() -> Any:
    return mapped_column(_VERBATIM)


class TargetAgentRow(OwnedMixin, Base):
    """An agent of somebody's application, with the spec by which its answers are judged."""

    __tablename__ = "target_agents"
    __table_args__ = (
        # A deleted agent frees its slug.
        Index("uq_target_agents_slug", "project_id", "slug", unique=True, postgresql_where=text("deleted_at IS NULL")),
        Index(None, "project_id", "name", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    slug: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    agent_path: Mapped[str] = mapped_column(default="")
    display_name: Mapped[str] = mapped_column(default="")
    entrypoint_fn: Mapped[str] = mapped_column(default="")
    model: Mapped[str] = mapped_column(default="")
    analyzer_model: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(default="active")
    structure_weight: Mapped[float] = mapped_column(Float(53), default=20.0)
    total_points: Mapped[float] = mapped_column(Float(53), default=100.0)
    tool_usage_weight: Mapped[float] = mapped_column(Float(53), default=0.0)
    dataset_size: Mapped[int] = mapped_column(BigInteger, default=0)
    dataset_has_expected: Mapped[bool] = mapped_column(default=False)
    policy_markdown: Mapped[str] = mapped_column(default="")
    tags: _Json = _json()
    input_schema: _Json = _json()
    output_fields: _Json = _json()
    output_schema: _Json = _json()
    tool_config: _Json = _json()
    tool_analysis: _Json = _json()
    consistency_rules: _Json = _json()
    optimizable_elements: _Json = _json()
    fixed_elements: _Json = _json()
    proposed_criteria: _Json = _json()
    policy_data: _Json = _json()
    dataset_input_keys: _Json = _json()
    eval_dataset: _Json = _json()
    evaluation_criteria: _Json = _json()
    agent_description: _Json = _json()
    improvement_metadata: _Json = _json()
    backtest_metadata: _Json = _json()
    backtest_model_suggestions: _Json = _json()
    active_dataset_id: Mapped[UUID | None] = mapped_column(ForeignKey("datasets.id"))
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class TargetPromptRow(OwnedMixin, Base):
    """One version of an agent's prompt."""

    __tablename__ = "target_prompts"
    __table_args__ = (Index(None, "agent_id", "created_at", "id"), Index(None, "project_id", "created_at", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("target_agents.id"))
    iteration_id: Mapped[UUID | None]
    """The iteration that made it; iterations may be deleted, prompts stay."""
    version: Mapped[int] = mapped_column(BigInteger)
    label: Mapped[str] = mapped_column(default="")
    system_prompt: Mapped[str] = mapped_column(default="")
    tools: _Json = mapped_column("tools_json", _VERBATIM)
    model: Mapped[str] = mapped_column(default="")
    code: Mapped[str] = mapped_column(default="")
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class DatasetVersionRow(Base):
    """What makes a stored dataset a version of an agent's data; the dataset itself and its items are elsewhere."""

    __tablename__ = "target_dataset_versions"
    __table_args__ = (
        enum_check("origin", DatasetOrigin),
        Index(None, "agent_id", "version", unique=True),
    )

    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("target_agents.id"))
    version: Mapped[int] = mapped_column(BigInteger)
    origin: Mapped[str]
    generator_model: Mapped[str]
    policy_hash: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)


class SuggestionRow(OwnedMixin, Base):
    """A change that a job proposes."""

    __tablename__ = "target_suggestions"
    __table_args__ = (
        enum_check("status", SuggestionStatus),
        Index(None, "project_id", "created_at", "id"),
        Index(None, "agent_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("target_agents.id"))
    job_id: Mapped[UUID | None]
    iteration_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(default=SuggestionStatus.PROPOSED.value)
    title: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    change_type: Mapped[str] = mapped_column(default="")
    score_before: Mapped[float | None] = mapped_column(Float(53))
    score_after: Mapped[float | None] = mapped_column(Float(53))
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
