"""Stored providers and models. Functions take a session and leave the commit to its owner."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr, ValidationError
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assay.db.engine import SessionFactory
from assay.gateway.config import CatalogPart, ModelConfig, ProviderConfig, model_entry, provider_entry
from assay.gateway.entries import ModelEntry, ProviderEntry, Source
from assay.gateway.errors import CatalogConfigError
from assay.gateway.models import CatalogModelRow, ProviderRow
from assay.gateway.types import ModelRole
from assay.kit.clock import utc_now
from assay.kit.ids import new_id
from assay.kit.secrets import SecretBox

_COLUMNS = {"provider", "upstream", "type"}


async def save_provider(
    session: AsyncSession, name: str, *, config: ProviderConfig, secrets: SecretBox
) -> ProviderEntry:
    """Add a provider, or replace the one of that name. Its key is stored encrypted.

    Raises:
        CatalogConfigError: A field is wrong, or cannot be stored.
    """
    if config.api_key_env is not None or config.headers or config.max_tokens_field is not None:
        raise CatalogConfigError(
            f"providers.{name}: api_key_env, headers and max_tokens_field belong into assay.toml.",
            param=f"providers.{name}",
        )
    entry = provider_entry(name, config, _no_variables, source=Source.DATABASE)
    now = utc_now()
    values: dict[str, Any] = {
        "kind": entry.kind.value,
        "api": entry.api.value,
        "base_url": entry.base_url,
        "api_key": None if entry.api_key is None else secrets.encrypt(entry.api_key),
        "max_concurrency": entry.max_concurrency,
        "updated_at": now,
    }
    statement = insert(ProviderRow).values(id=new_id(), name=name, created_at=now, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
    return entry


async def save_model(
    session: AsyncSession, model_id: str, *, config: ModelConfig, roles: tuple[ModelRole, ...] = ()
) -> ModelEntry:
    """Add a model, or replace the one of that id.

    Args:
        session: Committed by the caller.
        model_id: Id in the catalog.
        config: As in ``assay.toml``.
        roles: Roles in which ``auto`` shall mean it; the model saved last wins a role.

    Raises:
        CatalogConfigError: A field is wrong.
    """
    entry = model_entry(model_id, config, source=Source.DATABASE)
    now = utc_now()
    values: dict[str, Any] = {
        "provider": entry.provider,
        "upstream": entry.upstream,
        "type": entry.type.value,
        "roles": [role.value for role in roles],
        "config": config.model_dump(mode="json", exclude=_COLUMNS, exclude_none=True),
        "updated_at": now,
    }
    statement = insert(CatalogModelRow).values(id=new_id(), model_id=model_id, created_at=now, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["model_id"], set_=values))
    return entry


async def delete_provider(session: AsyncSession, name: str) -> bool:
    """Remove a stored provider; False when there was none."""
    found = await session.execute(delete(ProviderRow).where(ProviderRow.name == name).returning(ProviderRow.id))
    return found.first() is not None


async def delete_model(session: AsyncSession, model_id: str) -> bool:
    """Remove a stored model; False when there was none."""
    statement = delete(CatalogModelRow).where(CatalogModelRow.model_id == model_id).returning(CatalogModelRow.id)
    return (await session.execute(statement)).first() is not None


async def load_stored_part(sessions: SessionFactory, secrets: SecretBox | None) -> CatalogPart:
    """Everything that is stored, as a part of the catalog.

    Raises:
        SecretKeyError: A key was encrypted with another ``ASSAY_SECRET_KEY``.
        CatalogConfigError: Keys are stored but no ``ASSAY_SECRET_KEY`` is known, or a row is no longer valid.
    """
    async with sessions() as session:
        providers = (await session.scalars(select(ProviderRow).order_by(ProviderRow.name))).all()
        models = (await session.scalars(select(CatalogModelRow).order_by(CatalogModelRow.updated_at))).all()
    roles = {ModelRole(role): row.model_id for row in models for role in row.roles}
    return CatalogPart(
        {row.name: _provider(row, secrets) for row in providers}, {row.model_id: _model(row) for row in models}, roles
    )


def _provider(row: ProviderRow, secrets: SecretBox | None) -> ProviderEntry:
    if row.api_key is not None and secrets is None:
        raise CatalogConfigError(
            f"The key of provider {row.name!r} is stored encrypted; set ASSAY_SECRET_KEY.", param="ASSAY_SECRET_KEY"
        )
    key = None if row.api_key is None or secrets is None else SecretStr(secrets.decrypt(row.api_key))
    config = ProviderConfig.model_validate(
        {
            "kind": row.kind,
            "api": row.api,
            "base_url": row.base_url,
            "api_key": key,
            "max_concurrency": row.max_concurrency,
        }
    )
    return provider_entry(row.name, config, _no_variables, source=Source.DATABASE)


def _model(row: CatalogModelRow) -> ModelEntry:
    fields = {**row.config, "provider": row.provider, "upstream": row.upstream, "type": row.type}
    try:
        return model_entry(row.model_id, ModelConfig.model_validate(fields), source=Source.DATABASE)
    except ValidationError as exc:
        raise CatalogConfigError(f"Stored model {row.model_id!r} is not valid: {exc}", param="models") from exc


def _no_variables(name: str) -> str | None:
    return None
