"""Evaluators, their versions and provider keys, as the rest of Assay sees them.

An evaluator says *when* it fires (``enabled``, ``conditions``) and *what* it says of an event. The latter is copied
into an immutable version each time it changes, so that a verdict can name exactly what gave it:

    Evaluator  name, conditions, enabled, status  ──current──>  EvaluatorVersion  kind, config, output, target, model
                                                                      ^
                                                   (version, event) is the identity of a verdict

Going back to an earlier definition goes back to its version; the verdicts it gave are still its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict
from uuid import UUID

from assay.db.slices import SortKey


class EvaluatorKind(StrEnum):
    """How a verdict comes about."""

    LLM_JUDGE = "llm_judge"
    HOG = "hog"
    SENTIMENT = "sentiment"


class OutputKind(StrEnum):
    """What a verdict is."""

    BOOLEAN = "boolean"
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    SENTIMENT = "sentiment"


class TargetKind(StrEnum):
    """What is judged as one unit."""

    GENERATION = "generation"
    TRACE = "trace"
    SESSION = "session"


class EvaluatorStatus(StrEnum):
    """Whether an evaluator works; ``active`` exactly when it is enabled."""

    ACTIVE = "active"
    PAUSED = "paused"
    """Somebody switched it off."""
    ERROR = "error"
    """It switched itself off; ``StatusReason`` says why."""


class StatusReason(StrEnum):
    """Why an evaluator switched itself off (P§3.5)."""

    PROVIDER_KEY_INVALID = "provider_key_invalid"
    PROVIDER_KEY_PERMISSION_DENIED = "provider_key_permission_denied"
    PROVIDER_KEY_QUOTA_EXCEEDED = "provider_key_quota_exceeded"
    PROVIDER_KEY_RATE_LIMITED = "provider_key_rate_limited"
    PROVIDER_KEY_DELETED = "provider_key_deleted"
    PROVIDER_KEY_REQUIRED = "provider_key_required"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_NOT_SUPPORTED = "model_not_supported"
    NO_DEFAULT_MODEL = "no_default_model"
    HOG_ERROR = "hog_error"


class KeyProvider(StrEnum):
    """Whose models a key opens (P§3.3); ``openai_compatible`` is any server, by its base URL."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    OPENROUTER = "openrouter"
    FIREWORKS = "fireworks"
    AZURE_OPENAI = "azure_openai"
    TOGETHER_AI = "together_ai"
    MINIMAX = "minimax"
    ZEABUR = "zeabur"
    OPENAI_COMPATIBLE = "openai_compatible"


class KeyState(StrEnum):
    """What the provider said of a key last."""

    UNKNOWN = "unknown"
    OK = "ok"
    INVALID = "invalid"
    ERROR = "error"


class EvaluatorSort(StrEnum):
    """What a list of evaluators can be sorted by."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorQuery:
    """Which evaluators to list; conditions hold together."""

    ids: Sequence[UUID] | None = None
    enabled: bool | None = None
    kind: EvaluatorKind | None = None
    directory_id: UUID | None = None
    has_directory: bool | None = None
    search: str = ""
    """Part of the name or the description, in any case; empty matches all."""
    order: Sequence[SortKey] = ()
    """By ``EvaluatorSort``; without a key, newest first."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model that a judge calls."""

    provider: KeyProvider
    model: str
    provider_key_id: UUID | None = None
    """None: the project's active key, if it is of this provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """All that decides a verdict."""

    kind: EvaluatorKind
    config: Mapping[str, Any]
    """Judge: ``prompt``. Hog: ``source``. Sentiment: ``source`` is ``user_messages`` (P§3.1)."""
    output_kind: OutputKind
    output_config: Mapping[str, Any]
    """Normalized: every key that the kind of output has (P§3.1)."""
    target: TargetKind
    target_config: Mapping[str, Any]
    """When a trace or a session is taken to be complete (P§3.6); empty for a generation."""
    model: ModelChoice | None
    """Of a judge; None for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorVersion:
    """One definition that an evaluator has had; never changes."""

    id: UUID
    evaluator_id: UUID
    number: int
    """From 1."""
    definition: Definition
    """Without what only labels a verdict: ``true_is_failure`` and ``passing_rule``."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """An evaluator as it is now."""

    id: UUID
    project_id: UUID
    version_id: UUID
    """Of the present definition; with an event's id, the identity of a verdict."""
    name: str
    description: str
    enabled: bool
    status: EvaluatorStatus
    status_reason: StatusReason | None
    status_reason_detail: str | None
    definition: Definition
    conditions: Sequence[Mapping[str, Any]]
    """``{id, rollout_percentage, properties}``, as ``scoring.online.Condition.from_wire`` takes them."""
    directory_id: UUID | None
    deleted_at: datetime | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class EvaluatorValues(TypedDict, total=False):
    """What a caller sets of an evaluator; what is not in it stays as it is."""

    name: str
    description: str
    enabled: bool
    kind: EvaluatorKind
    config: Mapping[str, Any]
    output_kind: OutputKind
    output_config: Mapping[str, Any]
    target: TargetKind
    target_config: Mapping[str, Any]
    model: ModelChoice | None
    conditions: Sequence[Mapping[str, Any]]
    directory_id: UUID | None
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKey:
    """What may be shown of a key. The secret itself is never read back."""

    id: UUID
    project_id: UUID
    provider: KeyProvider
    name: str
    masked: str
    """Enough of the secret to tell keys apart."""
    base_url: str | None
    """Where the provider is, if not at its usual address."""
    azure_endpoint: str | None
    api_version: str | None
    state: KeyState
    error_message: str | None
    last_used_at: datetime | None
    created_by: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """What holds for all evaluators of a project."""

    project_id: UUID
    active_key: ProviderKey | None
    """Used by judges that name no key."""
    created_at: datetime
    updated_at: datetime
