"""Which key a judge calls its model with (P§3.3, "Resolution at run time").

The key that the judge names; else the project's active key, if it is of the judge's provider; else the server's own,
where the operator has offered one. A key that does not work is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators import repository
from assay.core.evaluators.errors import JudgeKeyError, KeyStorageError
from assay.core.evaluators.models import ProviderKeyRow
from assay.core.evaluators.providers import provider_entry
from assay.core.evaluators.types import KeyProvider, KeyState, ModelChoice, StatusReason
from assay.gateway.catalog import Catalog
from assay.gateway.entries import ModelEntry, ResolvedModel
from assay.gateway.errors import UnknownModelError
from assay.kit.clock import utc_now
from assay.kit.secrets import SecretBox

MAX_MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class JudgeTools:
    """What finding a judge's key needs."""

    catalog: Catalog
    secrets: SecretBox | None
    """Opens stored keys; None when there is no key for it."""
    default_provider: str | None = None
    """Provider of the catalog that judges may call without a key of their project."""


@dataclass(frozen=True, slots=True)
class JudgeAccess:
    """A judge's model, ready to be called."""

    model: ResolvedModel
    key_id: UUID | None
    """None: the server's own."""


async def check_judge_key(session: AsyncSession, project_id: UUID, choice: ModelChoice, tools: JudgeTools) -> None:
    """Make sure that a judge's model could be called now.

    Raises:
        JudgeKeyError: There is no key for it, or it does not work.
    """
    if await _find_key(session, project_id, choice) is None:
        await _server_model(choice, tools)


async def open_judge(session: AsyncSession, project_id: UUID, choice: ModelChoice, tools: JudgeTools) -> JudgeAccess:
    """A judge's model with its key, which counts as used now.

    Raises:
        JudgeKeyError: There is no key for it, or it does not work.
        KeyStorageError: This server cannot open stored keys.
    """
    row = await _find_key(session, project_id, choice)
    if row is None:
        return JudgeAccess(await _server_model(choice, tools), None)
    if tools.secrets is None or row.sealed_secret is None:
        raise KeyStorageError
    row.last_used_at = utc_now()
    provider = provider_entry(row, tools.secrets.decrypt(row.sealed_secret))
    entry = ModelEntry(id=f"{choice.provider.value}/{choice.model}", provider=provider.name, upstream=choice.model)
    return JudgeAccess(ResolvedModel(entry, provider), row.id)


async def note_key_failure(session: AsyncSession, key_id: UUID, state: KeyState, message: str) -> None:
    """Remember that a key did not work when a judge used it; it is not used again before it is validated.

    Args:
        session: A session inside a transaction.
        key_id: From ``JudgeAccess``.
        state: ``invalid`` or ``error``.
        message: Why, without the key.
    """
    await session.execute(
        update(ProviderKeyRow)
        .where(ProviderKeyRow.id == key_id, ProviderKeyRow.deleted_at.is_(None))
        .values(state=state.value, error_message=message[:MAX_MESSAGE_CHARACTERS], updated_at=utc_now())
        .execution_options(synchronize_session=False)
    )


async def _find_key(session: AsyncSession, project_id: UUID, choice: ModelChoice) -> ProviderKeyRow | None:
    """The project's key for a model; None when only the server could have one."""
    if choice.provider_key_id is not None:
        row = await repository.find_key(session, project_id, choice.provider_key_id)
        if row is None:
            raise JudgeKeyError(
                StatusReason.PROVIDER_KEY_DELETED,
                "The provider key was deleted. Add a provider API key, and choose it.",
            )
    else:
        row = await repository.find_active_key(session, project_id)
        if row is None or row.provider != choice.provider.value:
            return None
    if row.state != KeyState.OK.value:
        raise JudgeKeyError(
            StatusReason.PROVIDER_KEY_INVALID,
            f"The provider key `{row.name}` is in state `{row.state}`; a judge needs a working provider API key. "
            "Validate or replace it.",
        )
    return row


async def _server_model(choice: ModelChoice, tools: JudgeTools) -> ResolvedModel:
    """A model of the provider that the operator offers to every project."""
    offered = tools.default_provider
    if offered is not None and choice.provider.value in (offered, KeyProvider.OPENAI_COMPATIBLE.value):
        if tools.catalog.stale:
            await tools.catalog.refresh()
        prefix = f"{offered}/"
        try:
            return tools.catalog.resolve(prefix + choice.model.removeprefix(prefix))
        except UnknownModelError as error:
            raise JudgeKeyError(StatusReason.MODEL_NOT_FOUND, error.message) from error
    raise JudgeKeyError(
        StatusReason.PROVIDER_KEY_REQUIRED,
        f"Add a provider API key for `{choice.provider.value}` and choose it, or make it the active one.",
    )
