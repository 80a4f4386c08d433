"""Tables of the gateway: providers and models added at run time, and the response cache."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from assay.db.base import Base, enum_check
from assay.gateway.entries import ApiForm, ModelType, ProviderKind


class ProviderRow(Base):
    """A provider added with ``assay models add``."""

    __tablename__ = "providers"
    __table_args__ = (enum_check("kind", ProviderKind), enum_check("api", ApiForm))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    api: Mapped[str]
    base_url: Mapped[str]
    api_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Encrypted by ``SecretBox``."""
    max_concurrency: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CatalogModelRow(Base):
    """A model added with ``assay models add``. Its provider may be configured elsewhere, so there is no foreign key."""

    __tablename__ = "catalog_models"
    __table_args__ = (enum_check("type", ModelType),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_id: Mapped[str] = mapped_column(unique=True)
    provider: Mapped[str]
    upstream: Mapped[str]
    type: Mapped[str]
    roles: Mapped[list[str]]
    config: Mapped[dict[str, Any]]
    """Fields of ``ModelConfig`` beyond the columns."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CachedReplyRow(Base):
    """A cached reply; read and written in batches by ``assay.gateway.cache``."""

    __tablename__ = "response_cache"
    __table_args__ = (Index(None, "created_at"),)

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """32 bytes, see ``cache_key``."""
    reply: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
