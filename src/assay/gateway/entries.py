"""Rows of the catalog: providers, models, and a model ready to be called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from assay.gateway.types import ModelRole
from assay.kit.json import canonical_bytes

OPENAI_BASE_URL = "https://api.openai.com/v1"
ANTHROPIC_BASE_URL = "https://api.anthropic.com"
SIMULATOR = "simulator"

_LIBRARY_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


class ProviderKind(StrEnum):
    """The protocol that a provider speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    SIMULATOR = "simulator"


class ApiForm(StrEnum):
    """Which of the OpenAI protocol's two endpoints generates replies."""

    CHAT = "chat"
    RESPONSES = "responses"


class ModelType(StrEnum):
    """What a model makes, in the words of the models list."""

    LLM = "llm"
    EMBEDDINGS = "embeddings"
    SPEECH_TO_TEXT = "speech_to_text"


class Source(StrEnum):
    """Where an entry was configured."""

    BUILT_IN = "built_in"
    ENVIRONMENT = "environment"
    FILE = "file"
    DATABASE = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEntry:
    """Somebody who serves models."""

    name: str
    kind: ProviderKind
    base_url: str
    """OpenAI protocol: up to and including ``/v1``. Anthropic protocol: without ``/v1``."""
    api_key: str | None = field(default=None, repr=False)
    api: ApiForm = ApiForm.CHAT
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    max_concurrency: int = 256
    """Most calls in flight to one model of this provider, from one process."""
    max_tokens_field: str | None = None
    """Name of the output limit in chat completions; None: by the host."""
    source: Source = Source.FILE
    guarded: bool = False
    """Whether a user gave the address, so that it must not lead into this server's own network."""

    @property
    def host(self) -> str:
        """Host of the base URL, in lower case."""
        return (urlsplit(self.base_url).hostname or "").lower()

    @property
    def output_limit_field(self) -> str:
        """OpenAI itself renamed ``max_tokens``; compatible servers mostly know the old name only."""
        if self.max_tokens_field is not None:
            return self.max_tokens_field
        return "max_completion_tokens" if self.host == "api.openai.com" else "max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """US dollars for a million tokens of each class."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    """None: as ``input``."""
    cache_write: Decimal | None = None
    """None: as ``input``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model as configured, with the facts that the models list shows."""

    id: str
    provider: str
    upstream: str
    """The provider's own name of it."""
    type: ModelType = ModelType.LLM
    prices: TokenPrices | None = None
    roles: tuple[ModelRole, ...] = ()
    """Roles in which ``auto`` means this model."""
    context_window: int | None = None
    embedding_dimensions: int | None = None
    max_batch_size: int = 128
    """Texts in one embeddings request."""
    owned_by: str | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    created_at: datetime = _LIBRARY_EPOCH
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further facts for the models list, by its keys (``license``, ``release_date``, …)."""
    simulator: Mapping[str, Any] | None = None
    """Behaviour of a simulated model."""
    source: Source = Source.FILE

    @property
    def modalities(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Input and output modalities, by the model's type where none are configured."""
        inputs, outputs = _MODALITIES[self.type]
        return self.input_modalities or inputs, self.output_modalities or outputs


_MODALITIES: dict[ModelType, tuple[tuple[str, ...], tuple[str, ...]]] = {
    ModelType.LLM: (("text",), ("text",)),
    ModelType.EMBEDDINGS: (("text",), ("embedding",)),
    ModelType.SPEECH_TO_TEXT: (("audio",), ("text",)),
}


@dataclass(frozen=True)
class ResolvedModel:
    """A model together with its provider."""

    entry: ModelEntry
    provider: ProviderEntry
    id: str = field(init=False)
    upstream: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.entry.id)
        object.__setattr__(self, "upstream", self.entry.upstream)

    def __hash__(self) -> int:
        return hash((self.id, self.provider.name))

    @property
    def simulated(self) -> bool:
        """Whether its replies are made up by Assay itself."""
        return self.provider.kind is ProviderKind.SIMULATOR

    @cached_property
    def identity(self) -> str:
        """Digest of everything that decides which model answers; part of the cache key. Keys do not enter it."""
        provider = self.provider
        facts = [self.id, provider.kind, provider.api, provider.base_url, self.upstream, self.entry.simulator]
        return hashlib.sha256(canonical_bytes(facts)).hexdigest()
