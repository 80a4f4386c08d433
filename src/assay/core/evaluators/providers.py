"""Where the providers of keys are, and how they are asked whether a key works (P§3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assay.core.evaluators.models import ProviderKeyRow
from assay.core.evaluators.types import KeyProvider
from assay.gateway.entries import ANTHROPIC_BASE_URL, OPENAI_BASE_URL, ProviderEntry, ProviderKind, Source

ANTHROPIC_VERSION = "2023-06-01"
BASE_URLS: dict[KeyProvider, str] = {
    KeyProvider.OPENAI: OPENAI_BASE_URL,
    KeyProvider.ANTHROPIC: ANTHROPIC_BASE_URL,
    KeyProvider.GEMINI: "https://generativelanguage.googleapis.com/v1beta/openai",
    KeyProvider.OPENROUTER: "https://openrouter.ai/api/v1",
    KeyProvider.FIREWORKS: "https://api.fireworks.ai/inference/v1",
    KeyProvider.TOGETHER_AI: "https://api.together.xyz/v1",
    KeyProvider.MINIMAX: "https://api.minimax.io/v1",
    KeyProvider.ZEABUR: "https://hnd1.aihub.zeabur.ai/v1",
}
"""Usual addresses. Azure's is its resource's, that of a compatible server its owner's."""
PREFIXES: dict[KeyProvider, str] = {
    KeyProvider.OPENAI: "sk-",
    KeyProvider.ANTHROPIC: "sk-ant-",
    KeyProvider.ZEABUR: "sk-",
}
"""How keys of a provider begin."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key is used."""

    provider: KeyProvider
    base_url: str | None = None
    azure_endpoint: str | None = None
    api_version: str | None = None

    @classmethod
    def of(cls, row: ProviderKeyRow) -> Place:
        """The place of a stored key."""
        return cls(KeyProvider(row.provider), row.base_url, row.azure_endpoint, row.api_version)

    @property
    def root(self) -> str:
        """Base URL of the provider's API."""
        if self.provider is KeyProvider.AZURE_OPENAI:
            return f"{(self.azure_endpoint or '').rstrip('/')}/openai/v1"
        return (self.base_url or BASE_URLS.get(self.provider, "")).rstrip("/")


def probe_url(place: Place) -> str:
    """What is read to see whether a key works: cheap, and refused without a valid key."""
    if place.provider is KeyProvider.OPENROUTER and place.base_url is None:
        # Its list of models is open to all.
        return f"{place.root}/key"
    return models_url(place)


def models_url(place: Place) -> str:
    """Where the models that a key opens are listed."""
    return f"{place.root}/v1/models" if place.provider is KeyProvider.ANTHROPIC else f"{place.root}/models"


def auth_headers(place: Place, secret: str) -> Mapping[str, str]:
    """How a key is shown to its provider."""
    match place.provider:
        case KeyProvider.ANTHROPIC:
            return {"x-api-key": secret, "anthropic-version": ANTHROPIC_VERSION}
        case KeyProvider.AZURE_OPENAI:
            return {"api-key": secret}
        case _:
            return {"Authorization": f"Bearer {secret}"}


def provider_entry(row: ProviderKeyRow, secret: str) -> ProviderEntry:
    """A stored key as a provider for the gateway, apart from all others of its name."""
    place = Place.of(row)
    azure = place.provider is KeyProvider.AZURE_OPENAI
    return ProviderEntry(
        name=f"{row.provider}:{row.id}",
        kind=ProviderKind.ANTHROPIC if place.provider is KeyProvider.ANTHROPIC else ProviderKind.OPENAI,
        base_url=place.root,
        api_key=None if azure else secret,
        headers=tuple(auth_headers(place, secret).items()) if azure else (),
        source=Source.DATABASE,
    )
