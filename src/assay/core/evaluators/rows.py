"""Rows as the types that leave this feature, and definitions as columns."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, TypedDict
from uuid import UUID

from assay.core.evaluators.models import EvaluatorRow, EvaluatorVersionRow, ProviderKeyRow
from assay.core.evaluators.types import (
    Definition,
    Evaluator,
    EvaluatorKind,
    EvaluatorStatus,
    EvaluatorVersion,
    KeyProvider,
    KeyState,
    ModelChoice,
    OutputKind,
    ProviderKey,
    StatusReason,
    TargetKind,
)
from assay.kit.json import canonical_bytes

LABELLING = frozenset({"true_is_failure", "passing_rule"})
"""Keys of an output's configuration that say which verdicts are good, and change none."""


class DefinitionColumns(TypedDict):
    """Columns that evaluators and versions have in common."""

    kind: str
    config: dict[str, Any]
    output_kind: str
    output_config: dict[str, Any]
    target: str
    target_config: dict[str, Any]
    provider: str | None
    model: str | None
    provider_key_id: UUID | None


def definition_columns(definition: Definition) -> DefinitionColumns:
    """A definition for the columns of a row."""
    model = definition.model
    return DefinitionColumns(
        kind=definition.kind.value,
        config=dict(definition.config),
        output_kind=definition.output_kind.value,
        output_config=dict(definition.output_config),
        target=definition.target.value,
        target_config=dict(definition.target_config),
        provider=None if model is None else model.provider.value,
        model=None if model is None else model.model,
        provider_key_id=None if model is None else model.provider_key_id,
    )


def without_labels(definition: Definition) -> Definition:
    """What decides a verdict, and nothing that only labels it."""
    config = {key: value for key, value in definition.output_config.items() if key not in LABELLING}
    if "options" in config:
        config["options"] = [{"key": option["key"], "label": option["label"]} for option in config["options"]]
    return replace(definition, output_config=config)


def digest_definition(definition: Definition) -> bytes:
    """32 bytes that are equal for equal definitions."""
    columns = definition_columns(definition)
    key_id = columns["provider_key_id"]
    # The driver's own kind of UUID has no JSON form.
    facts = {**columns, "provider_key_id": None if key_id is None else str(key_id)}
    return hashlib.sha256(canonical_bytes(facts)).digest()


def read_definition(row: EvaluatorRow | EvaluatorVersionRow) -> Definition:
    """The definition in a row."""
    model = None
    if row.provider is not None and row.model is not None:
        model = ModelChoice(KeyProvider(row.provider), row.model, row.provider_key_id)
    return Definition(
        kind=EvaluatorKind(row.kind),
        config=row.config,
        output_kind=OutputKind(row.output_kind),
        output_config=row.output_config,
        target=TargetKind(row.target),
        target_config=row.target_config,
        model=model,
    )


def read_evaluator(row: EvaluatorRow, version_id: UUID) -> Evaluator:
    """An evaluator and the id of its present version."""
    return Evaluator(
        id=row.id,
        project_id=row.project_id,
        version_id=version_id,
        name=row.name,
        description=row.description,
        enabled=row.enabled,
        status=EvaluatorStatus(row.status),
        status_reason=None if row.status_reason is None else StatusReason(row.status_reason),
        status_reason_detail=row.status_reason_detail,
        definition=read_definition(row),
        conditions=row.conditions,
        directory_id=row.directory_id,
        deleted_at=row.deleted_at,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def read_version(row: EvaluatorVersionRow) -> EvaluatorVersion:
    """A version."""
    return EvaluatorVersion(
        id=row.id,
        evaluator_id=row.evaluator_id,
        number=row.number,
        definition=read_definition(row),
        created_at=row.created_at,
    )


def read_key(row: ProviderKeyRow) -> ProviderKey:
    """A key without its secret."""
    return ProviderKey(
        id=row.id,
        project_id=row.project_id,
        provider=KeyProvider(row.provider),
        name=row.name,
        masked=row.masked,
        base_url=row.base_url,
        azure_endpoint=row.azure_endpoint,
        api_version=row.api_version,
        state=KeyState(row.state),
        error_message=row.error_message,
        last_used_at=row.last_used_at,
        created_by=row.created_by,
        created_at=row.created_at,
    )
