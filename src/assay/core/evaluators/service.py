"""Use cases of evaluators.

A deleted evaluator leaves lists and reads, and can still be found to be changed: that is how it comes back. What
decides its verdicts is a version; see ``types``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators import repository
from assay.core.evaluators.access import JudgeTools, check_judge_key
from assay.core.evaluators.conditions import normalize_conditions
from assay.core.evaluators.definition import define
from assay.core.evaluators.errors import DefinitionError, EvaluatorNotFoundError, OutputChangeError
from assay.core.evaluators.models import EvaluatorRow, EvaluatorVersionRow
from assay.core.evaluators.rows import (
    definition_columns,
    digest_definition,
    read_definition,
    read_evaluator,
    without_labels,
)
from assay.core.evaluators.types import (
    Definition,
    Evaluator,
    EvaluatorKind,
    EvaluatorQuery,
    EvaluatorStatus,
    EvaluatorValues,
    EvaluatorVersion,
    ModelChoice,
    OutputKind,
    TargetKind,
)
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.db.slices import Counted, Slice
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

T = TypeVar("T")

_SCALELESS = frozenset({OutputKind.NUMERIC, OutputKind.CATEGORICAL})


async def enabled_evaluators(session: AsyncSession, project_id: UUID) -> Sequence[Evaluator]:
    """The evaluators that judge a project's traffic, oldest first, whoever asks."""
    return await repository.enabled_evaluators(session, project_id)


async def find_versions(session: AsyncSession, version_ids: Sequence[UUID]) -> dict[UUID, EvaluatorVersion]:
    """Versions by their ids, whoever asks; unknown ids are not among them."""
    return await repository.find_versions(session, version_ids)


async def find_evaluator(session: AsyncSession, principal: Principal, evaluator_id: UUID) -> Evaluator:
    """An evaluator by its id.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator, or it is deleted.
    """
    found = await repository.find_evaluator(session, principal, evaluator_id)
    if found is None:
        raise EvaluatorNotFoundError(evaluator_id)
    return found


async def list_evaluators(
    session: AsyncSession, principal: Principal, query: EvaluatorQuery, part: Slice
) -> Counted[Evaluator]:
    """The caller's evaluators that match, without deleted ones; rows equal in the order come by id."""
    return await repository.list_evaluators(session, principal, query, part)


async def create_evaluator(
    session: AsyncSession, principal: Principal, values: EvaluatorValues, tools: JudgeTools
) -> Evaluator:
    """Make an evaluator.

    Args:
        session: A session inside a transaction.
        principal: Whose it will be.
        values: With ``name``, ``kind`` and ``output_kind``.
        tools: To check an enabled judge's key.

    Raises:
        DefinitionError: A part is wrong; nothing was stored.
        JudgeKeyError: It is enabled, and its model cannot be called.
    """
    definition = await _define(None, values)
    await _check_key(session, principal, definition.model)
    row = EvaluatorRow(**owner_columns(principal), **definition_columns(definition), version=1, conditions=[])
    row.description, row.enabled, row.status = "", False, EvaluatorStatus.PAUSED.value
    await _apply(session, row, values, definition, tools)
    session.add(row)
    await session.flush()
    version_id = _add_version(session, row, definition, number=1)
    await session.flush()
    return read_evaluator(row, version_id)


async def lock_evaluator(session: AsyncSession, principal: Principal, evaluator_id: UUID) -> EvaluatorRow:
    """An evaluator to change, deleted or not, which nobody else changes meanwhile.

    Raises:
        EvaluatorNotFoundError: The caller has no such evaluator.
    """
    row = await repository.lock_evaluator(session, principal, evaluator_id)
    if row is None:
        raise EvaluatorNotFoundError(evaluator_id)
    return row


async def update_evaluator(
    session: AsyncSession, principal: Principal, row: EvaluatorRow, values: EvaluatorValues, tools: JudgeTools
) -> Evaluator:
    """Change what ``values`` names; ``deleted`` deletes or brings back.

    Args:
        session: A session inside a transaction.
        principal: The caller.
        row: From ``lock_evaluator``.
        values: ``output_config`` is the whole one; see ``merged_output``.
        tools: To check the key of a judge that becomes enabled.

    Raises:
        DefinitionError: A part is wrong; nothing was changed.
        JudgeKeyError: It becomes enabled, and its model cannot be called.
    """
    before = read_definition(row)
    definition = await _define(before, values)
    _check_output_change(before.output_kind, definition.output_kind)
    if definition.model != before.model:
        await _check_key(session, principal, definition.model)
    await _apply(session, row, values, definition, tools)
    for name, value in definition_columns(definition).items():
        setattr(row, name, value)
    version_id = await _select_version(session, row, definition)
    await session.flush()
    return read_evaluator(row, version_id)


def merged_output(row: EvaluatorRow, changes: Mapping[str, Any], output_kind: OutputKind | None) -> dict[str, Any]:
    """The output's configuration with some keys changed; from nothing if the kind of output changes."""
    same = output_kind is None or output_kind.value == row.output_kind
    return {**row.output_config, **changes} if same else dict(changes)


async def _define(before: Definition | None, values: EvaluatorValues) -> Definition:
    """The definition after a change; in a thread, since compiling a long program takes its time."""
    kind = _required("kind", values.get("kind", None if before is None else before.kind))
    output_kind = _required("output_kind", values.get("output_kind", None if before is None else before.output_kind))
    target, target_config = _target(before, values)
    return await asyncio.to_thread(
        define,
        kind=kind,
        config=values.get("config", {} if before is None else before.config),
        output_kind=output_kind,
        output_config=values.get("output_config", _kept_output(before, output_kind)),
        target=target,
        target_config=target_config,
        model=_model(before, values, kind),
    )


def _required(param: str, value: T | None) -> T:
    if value is None:
        raise DefinitionError(param, "This field is required.")
    return value


def _kept_output(before: Definition | None, output_kind: OutputKind) -> Mapping[str, Any]:
    return before.output_config if before is not None and before.output_kind is output_kind else {}


def _target(before: Definition | None, values: EvaluatorValues) -> tuple[TargetKind, Mapping[str, Any]]:
    """A new target without a configuration has the defaults of its own."""
    old = TargetKind.GENERATION if before is None else before.target
    target = values.get("target", old)
    kept: Mapping[str, Any] = before.target_config if before is not None and before.target is target else {}
    return target, values.get("target_config", kept)


def _model(before: Definition | None, values: EvaluatorValues, kind: EvaluatorKind) -> ModelChoice | None:
    """The model after a change: kept unless one is given, but not beyond judges."""
    if "model" in values:
        return values["model"]
    kept = None if before is None else before.model
    return kept if kind is EvaluatorKind.LLM_JUDGE else None


def _check_output_change(before: OutputKind, after: OutputKind) -> None:
    if before is not after and not _SCALELESS.isdisjoint((before, after)):
        raise OutputChangeError(before.value, after.value)


async def _check_key(session: AsyncSession, principal: Principal, model: ModelChoice | None) -> None:
    """Refuse a model whose key is not the project's, or of another provider."""
    if model is None or model.provider_key_id is None:
        return
    row = await repository.find_key(session, principal.project_id, model.provider_key_id)
    if row is None:
        raise DefinitionError(
            "model.provider_key_id", f"There is no provider key {model.provider_key_id} in this project."
        )
    if row.provider != model.provider.value:
        raise DefinitionError(
            "model.provider_key_id",
            f"The key `{row.name}` is for `{row.provider}`, not for `{model.provider.value}`.",
        )


async def _apply(
    session: AsyncSession, row: EvaluatorRow, values: EvaluatorValues, definition: Definition, tools: JudgeTools
) -> None:
    """Set everything but the definition."""
    conditions = normalize_conditions(values["conditions"]) if "conditions" in values else None
    now = utc_now()
    if values.get("enabled", row.enabled) != bool(row.enabled):
        await _switch(session, row, definition, tools, on=values.get("enabled", False))
    row.name = _required("name", values.get("name", row.name))
    row.description = values.get("description", row.description)
    row.directory_id = values.get("directory_id", row.directory_id)
    if conditions is not None:
        row.conditions = conditions
    if "deleted" in values and values["deleted"] != (row.deleted_at is not None):
        row.deleted_at = now if values["deleted"] else None
    row.updated_at = now


async def _switch(
    session: AsyncSession, row: EvaluatorRow, definition: Definition, tools: JudgeTools, *, on: bool
) -> None:
    if on and definition.model is not None:
        await check_judge_key(session, row.project_id, definition.model, tools)
    row.enabled = on
    row.status = (EvaluatorStatus.ACTIVE if on else EvaluatorStatus.PAUSED).value
    row.status_reason = row.status_reason_detail = None


async def _select_version(session: AsyncSession, row: EvaluatorRow, definition: Definition) -> UUID:
    """Make the definition's version the present one, adding it if it is new. The row is locked."""
    known = await repository.find_version(session, row.id, digest_definition(without_labels(definition)))
    if known is not None:
        row.version = known.number
        return known.id
    row.version = await repository.last_version_number(session, row.id) + 1
    return _add_version(session, row, definition, number=row.version)


def _add_version(session: AsyncSession, row: EvaluatorRow, definition: Definition, *, number: int) -> UUID:
    plain = without_labels(definition)
    version = EvaluatorVersionRow(
        id=new_id(), evaluator_id=row.id, number=number, digest=digest_definition(plain), **definition_columns(plain)
    )
    session.add(version)
    return version.id
