"""Provider keys as this dialect has them: what clients send, and how they are written (P§3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import StringConstraints

from assay.core.evaluators.keys import KeyValues
from assay.core.evaluators.types import EvaluationSettings, KeyProvider, ProviderKey
from assay.dialects.posthog.mapping import Authors, render_author, render_time
from assay.dialects.posthog.wire import Wire

KeyName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
Secret = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Url = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048)]
Version = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20)]


class ProviderKeyInput(Wire):
    """A key to store."""

    provider: KeyProvider
    name: KeyName
    api_key: Secret
    base_url: Url | None = None
    azure_endpoint: Url | None = None
    api_version: Version | None = None
    set_as_active: bool = False


class ProviderKeyPatch(ProviderKeyInput):
    """Changes of a key."""

    provider: KeyProvider = KeyProvider.OPENAI
    name: KeyName = ""
    api_key: Secret = ""


class ActiveKeyInput(Wire):
    """The key to make the active one."""

    key_id: str


def key_values(wire: ProviderKeyInput) -> KeyValues:
    """The fields that a client sent, in the core's words; an empty address is none."""
    values = KeyValues(
        provider=wire.provider,
        name=wire.name,
        secret=wire.api_key,
        base_url=wire.base_url or None,
        azure_endpoint=wire.azure_endpoint or None,
        api_version=wire.api_version or None,
        set_as_active=wire.set_as_active,
    )
    for field in ProviderKeyInput.model_fields:
        if field not in wire.model_fields_set:
            values.pop("secret" if field == "api_key" else field, None)
    return values


def key_renderer(authors: Authors) -> Callable[[ProviderKey], dict[str, Any]]:
    """Writes keys, without their secrets."""

    def render(key: ProviderKey) -> dict[str, Any]:
        author = None if key.created_by is None else authors.get(key.created_by)
        return {
            "id": str(key.id),
            "provider": key.provider.value,
            "name": key.name,
            "state": key.state.value,
            "error_message": key.error_message,
            "api_key_masked": key.masked,
            "base_url_display": key.base_url,
            "azure_endpoint_display": key.azure_endpoint,
            "api_version_display": key.api_version,
            "created_at": render_time(key.created_at),
            "created_by": render_author(author),
            "last_used_at": None if key.last_used_at is None else render_time(key.last_used_at),
        }

    return render


def settings_renderer(authors: Authors) -> Callable[[EvaluationSettings], dict[str, Any]]:
    """Writes a project's settings. There is no trial, so there is nothing of it to use up (P§7 no. 6)."""

    def render(settings: EvaluationSettings) -> dict[str, Any]:
        active = settings.active_key
        return {
            "trial_eval_limit": 0,
            "trial_evals_used": 0,
            "trial_evals_remaining": 0,
            "active_provider_key": None if active is None else key_renderer(authors)(active),
            "created_at": render_time(settings.created_at),
            "updated_at": render_time(settings.updated_at),
        }

    return render
