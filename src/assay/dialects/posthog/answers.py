"""What is answered, for the OpenAPI document; routes answer plain data, and a test holds them to this."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from assay.core.evaluators.types import (
    EvaluatorKind,
    EvaluatorStatus,
    KeyProvider,
    KeyState,
    OutputKind,
    StatusReason,
    TargetKind,
)

T = TypeVar("T")


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorBody(BaseModel):
    """Every error (P§1.3). Two actions add ``error``, for older clients."""

    type: str
    code: str
    detail: str
    attr: str | None


class Author(_Answer):
    """Who made an object (P§1.5)."""

    id: int
    uuid: UUID
    distinct_id: str | None
    first_name: str
    last_name: str
    email: str
    is_email_verified: bool | None
    hedgehog_config: dict[str, Any] | None
    role_at_organization: str | None


class Page(_Answer, Generic[T]):
    """Part of a list (P§1.4)."""

    count: int
    next: str | None
    previous: str | None
    results: list[T]


class DatasetAnswer(_Answer):
    """A dataset (P§2.1)."""

    id: UUID
    name: str
    description: str | None
    metadata: Any
    created_at: datetime
    updated_at: datetime
    deleted: bool
    created_by: Author | None
    team: int


class DatasetItemAnswer(_Answer):
    """A dataset item (P§2.2)."""

    id: UUID
    dataset: UUID
    input: Any
    output: Any
    metadata: Any
    ref_trace_id: str | None
    ref_timestamp: datetime | None
    ref_source_id: str | None
    created_at: datetime
    updated_at: datetime
    deleted: bool
    created_by: Author | None
    team: int


class ModelConfigurationAnswer(_Answer):
    """The model of a judge."""

    provider: KeyProvider
    model: str
    provider_key_id: UUID | None
    provider_key_name: str | None


class ConditionAnswer(_Answer):
    """When an evaluation fires (P§3.2)."""

    id: str
    rollout_percentage: float
    properties: list[dict[str, Any]]


class EvaluationAnswer(_Answer):
    """An evaluation (P§2.3)."""

    id: UUID
    name: str
    description: str
    enabled: bool
    status: EvaluatorStatus
    status_reason: StatusReason | None
    status_reason_detail: str | None
    evaluation_type: EvaluatorKind
    evaluation_config: dict[str, Any]
    output_type: OutputKind
    output_config: dict[str, Any]
    conditions: list[ConditionAnswer]
    target: TargetKind
    target_config: dict[str, Any]
    model_configuration: ModelConfigurationAnswer | None
    directory_id: UUID | None
    user_access_level: str
    created_at: datetime
    updated_at: datetime
    created_by: Author | None
    deleted: bool


class TrialAnswer(_Answer):
    """What a program said of a sample (P§4.2)."""

    sample_id: str
    sample_type: TargetKind
    event_uuid: UUID | None
    trace_id: str | None
    input_preview: str
    output_preview: str
    result: bool | None
    score: float | None
    categories: list[str] | None
    reasoning: str | None
    error: str | None


class TestHogAnswer(BaseModel):
    """What a program said of all samples; a ``message`` only when there are none."""

    results: list[TrialAnswer]


class ProviderKeyAnswer(_Answer):
    """A provider key, without its secret (P§3.3)."""

    id: UUID
    provider: KeyProvider
    name: str
    state: KeyState
    error_message: str | None
    api_key_masked: str
    base_url_display: str | None
    azure_endpoint_display: str | None
    api_version_display: str | None
    created_at: datetime
    created_by: Author | None
    last_used_at: datetime | None


class EvaluationConfigAnswer(_Answer):
    """What holds for all evaluations of a project."""

    trial_eval_limit: int
    trial_evals_used: int
    trial_evals_remaining: int
    active_provider_key: ProviderKeyAnswer | None
    created_at: datetime
    updated_at: datetime


class ListedModelAnswer(_Answer):
    """A model that a key opens."""

    id: str


class ModelsAnswer(_Answer):
    """The models that a key opens."""

    models: list[ListedModelAnswer]
