"""Evaluations as this dialect has them: what clients send and filter by, and how they are written (P§2.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request
from pydantic import Field, StringConstraints

from assay.core.evaluators.types import (
    Evaluator,
    EvaluatorKind,
    EvaluatorQuery,
    EvaluatorSort,
    EvaluatorValues,
    KeyProvider,
    ModelChoice,
    OutputKind,
    TargetKind,
)
from assay.core.projects.types import Principal, Role
from assay.dialects.posthog.mapping import Authors, render_author, render_time
from assay.dialects.posthog.query import read_choice, read_flag, read_id, read_ids, read_order
from assay.dialects.posthog.wire import JsonList, JsonObject, Name, TakesJson, Wire

ModelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
COMPACT_CLIENT = "mcp"
"""A client that reads lists into a context window (header ``X-PostHog-Client``)."""
LEFT_OUT_WHEN_COMPACT = frozenset(
    {"evaluation_config", "output_config", "conditions", "model_configuration", "created_by", "deleted"}
)


class ModelConfigurationInput(Wire):
    """The model of a judge."""

    provider: KeyProvider
    model: ModelName
    provider_key_id: UUID | None = None


class EvaluationInput(Wire):
    """An evaluation to make, or to replace."""

    name: Name
    description: str = ""
    enabled: bool = False
    evaluation_type: EvaluatorKind
    evaluation_config: JsonObject = Field(default_factory=dict)
    output_type: OutputKind
    output_config: JsonObject = Field(default_factory=dict)
    conditions: JsonList = Field(default_factory=list)
    target: TargetKind = TargetKind.GENERATION
    target_config: JsonObject = Field(default_factory=dict)
    model_configuration: Annotated[ModelConfigurationInput | None, TakesJson()] = None
    directory_id: UUID | None = None
    deleted: bool = False


class EvaluationPatch(EvaluationInput):
    """Changes of an evaluation."""

    name: Name = ""
    evaluation_type: EvaluatorKind = EvaluatorKind.HOG
    output_type: OutputKind = OutputKind.BOOLEAN


def evaluator_values(wire: EvaluationInput) -> EvaluatorValues:
    """The fields that a client sent, in the core's words."""
    values = EvaluatorValues(
        name=wire.name,
        description=wire.description,
        enabled=wire.enabled,
        kind=wire.evaluation_type,
        config=wire.evaluation_config,
        output_kind=wire.output_type,
        output_config=wire.output_config,
        conditions=wire.conditions,
        target=wire.target,
        target_config=wire.target_config,
        model=_model_choice(wire.model_configuration),
        directory_id=wire.directory_id,
        deleted=wire.deleted,
    )
    for field, name in _CORE_NAMES.items():
        if field not in wire.model_fields_set:
            values.pop(name, None)
    return values


_CORE_NAMES = {name: name for name in EvaluationInput.model_fields} | {
    "evaluation_type": "kind",
    "evaluation_config": "config",
    "output_type": "output_kind",
    "model_configuration": "model",
}


def _model_choice(wire: ModelConfigurationInput | None) -> ModelChoice | None:
    return None if wire is None else ModelChoice(wire.provider, wire.model, wire.provider_key_id)


def read_evaluator_query(request: Request) -> EvaluatorQuery:
    """The filters and the order of a list of evaluations.

    Raises:
        FieldError: An id is no UUID, or a type or a key of the order is unknown.
    """
    without_directory = read_flag(request, "directory_id__isnull")
    return EvaluatorQuery(
        ids=read_ids(request),
        enabled=read_flag(request, "enabled"),
        kind=read_choice(request, "evaluation_type", EvaluatorKind),
        directory_id=read_id(request, "directory_id"),
        has_directory=None if without_directory is None else not without_directory,
        search=request.query_params.get("search", ""),
        order=read_order(request.query_params.get("order_by", ""), EvaluatorSort),
    )


def evaluation_renderer(
    principal: Principal, authors: Authors, key_names: Mapping[UUID, str]
) -> Callable[[Evaluator], dict[str, Any]]:
    """Writes evaluations for one caller."""

    def render(found: Evaluator) -> dict[str, Any]:
        definition = found.definition
        author = None if found.created_by is None else authors.get(found.created_by)
        return {
            "id": str(found.id),
            "name": found.name,
            "description": found.description,
            "enabled": found.enabled,
            "status": found.status.value,
            "status_reason": None if found.status_reason is None else found.status_reason.value,
            "status_reason_detail": found.status_reason_detail,
            "evaluation_type": definition.kind.value,
            "evaluation_config": definition.config,
            "output_type": definition.output_kind.value,
            "output_config": definition.output_config,
            "conditions": found.conditions,
            "target": definition.target.value,
            "target_config": definition.target_config,
            "model_configuration": _render_model(definition.model, key_names),
            "directory_id": None if found.directory_id is None else str(found.directory_id),
            "user_access_level": _access_level(principal, found),
            "created_at": render_time(found.created_at),
            "updated_at": render_time(found.updated_at),
            "created_by": render_author(author),
            "deleted": found.deleted_at is not None,
        }

    return render


def _render_model(choice: ModelChoice | None, key_names: Mapping[UUID, str]) -> dict[str, Any] | None:
    if choice is None:
        return None
    key_id = choice.provider_key_id
    return {
        "provider": choice.provider.value,
        "model": choice.model,
        "provider_key_id": None if key_id is None else str(key_id),
        "provider_key_name": None if key_id is None else key_names.get(key_id),
    }


def _access_level(principal: Principal, found: Evaluator) -> str:
    """There is no sharing of single evaluations, so the caller's role decides (P§7 no. 17)."""
    if principal.role is Role.VIEWER:
        return "viewer"
    return "manager" if found.created_by is not None and found.created_by == principal.user_id else "editor"
