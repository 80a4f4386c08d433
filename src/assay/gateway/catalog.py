"""Which models there are, and who serves them.

Four parts make the catalog, each overriding the ones before it by name: what is built in (the simulator), the
environment, ``assay.toml``, and the database. Only the last may change while the process runs; it is read again at
most every ``RELOAD_SECONDS``.

Ids that no entry has still resolve when their form names a provider: ``<provider>/<any name>``, and bare names with
the well-known prefixes of OpenAI's and Anthropic's models.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from assay.gateway.config import CatalogPart
from assay.gateway.entries import ModelEntry, ModelType, ProviderEntry, ResolvedModel
from assay.gateway.errors import UnknownModelError
from assay.gateway.types import ModelRole

AUTO = "auto"
RELOAD_SECONDS = 5.0
_BARE_PREFIXES = {
    "openai": ("gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-", "whisper-"),
    "anthropic": ("claude-",),
}
_TYPE_MARKS = {ModelType.EMBEDDINGS: ("embed",), ModelType.SPEECH_TO_TEXT: ("whisper", "transcribe")}
_KEY_HINTS = {"openai": "OPENAI_API_KEY (or OPENAI_BASE_URL)", "anthropic": "ANTHROPIC_API_KEY"}

LoadPart = Callable[[], Awaitable[CatalogPart]]


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A row of the models list."""

    entry: ModelEntry
    provider: ProviderEntry
    simulated: bool

    @property
    def owned_by(self) -> str:
        """Who made it, as far as configured, else who serves it."""
        return self.entry.owned_by or self.provider.name


class Catalog:
    """Looks models up."""

    def __init__(self, fixed: Sequence[CatalogPart], load_stored: LoadPart | None = None) -> None:
        """Join the parts.

        Args:
            fixed: Parts that stay as they are, in order of increasing precedence.
            load_stored: Reads the part in the database; None where there is none.
        """
        self._fixed = tuple(fixed)
        self._load_stored = load_stored
        self._loading = asyncio.Lock()  # one reader of the stored part at a time
        self._fresh_until = 0.0 if load_stored is not None else float("inf")
        self._stored: CatalogPart | None = None
        self._join(())

    def _join(self, more: tuple[CatalogPart, ...]) -> None:
        providers: dict[str, ProviderEntry] = {}
        models: dict[str, ModelEntry] = {}
        roles: dict[ModelRole, str] = {}
        for part in (*self._fixed, *more):
            providers.update(part.providers)
            models.update(part.models)
            roles.update(part.roles)
        self._providers, self._models, self._roles = providers, models, roles
        self._resolved: dict[tuple[str, ModelRole], ResolvedModel] = {}

    @property
    def stale(self) -> bool:
        """Whether ``refresh`` would read the database."""
        return time.monotonic() >= self._fresh_until

    async def refresh(self, *, force: bool = False) -> None:
        """Read the stored part again when it is stale (or at once, with ``force``)."""
        if self._load_stored is None:
            return
        async with self._loading:
            if force or self.stale:
                await self._reload(self._load_stored)
                self._fresh_until = time.monotonic() + RELOAD_SECONDS

    async def _reload(self, load: LoadPart) -> None:
        try:
            part = await load()
        except (SQLAlchemyError, OSError):
            if self._stored is None:
                raise
            # A database that is away for a moment must not stop calls to models that are known already.
            return
        if part != self._stored:
            self._stored = part
            self._join((part,))

    def resolve(self, model_id: str, role: ModelRole = ModelRole.CANDIDATE) -> ResolvedModel:
        """The model of an id.

        Args:
            model_id: An id, or ``auto`` for the model of the role.
            role: What it is needed for.

        Raises:
            UnknownModelError: There is no such model; the message says what to configure.
        """
        known = self._resolved.get((model_id, role))
        if known is None:
            known = self._resolve(model_id, role)
            if len(self._resolved) > 4096:
                self._resolved.clear()
            self._resolved[model_id, role] = known
        return known

    def _resolve(self, model_id: str, role: ModelRole) -> ResolvedModel:
        if model_id == AUTO:
            model_id = self._automatic(role)
        entry = self._models.get(model_id) or self._derived(model_id)
        provider = self._providers.get(entry.provider)
        if provider is None:
            raise UnknownModelError(_no_provider(model_id, entry.provider), param="model")
        return ResolvedModel(entry, provider)

    def _automatic(self, role: ModelRole) -> str:
        model_id = self._roles.get(role)
        if model_id is None or model_id == AUTO:
            raise UnknownModelError(
                f"No model is configured for 'auto' as {role.value}. Name a model, or set {role.value} = \"<model>\" "
                f"under [roles] in assay.toml, or add one with `assay models add <model> --role {role.value}`.",
                param="model",
            )
        return model_id

    def _derived(self, model_id: str) -> ModelEntry:
        """An entry for an id that names its provider by its form."""
        name, slash, upstream = model_id.partition("/")
        if not slash or name not in self._providers or not upstream:
            upstream = model_id
            bare = (p for p, prefixes in _BARE_PREFIXES.items() if model_id.startswith(prefixes))
            name = name if slash and name in _BARE_PREFIXES else next(bare, "")
        if not name or name == "simulator" or upstream.endswith("/"):
            raise UnknownModelError(self._advice(model_id), param="model")
        lowered = upstream.lower()
        marked = (kind for kind, marks in _TYPE_MARKS.items() if any(mark in lowered for mark in marks))
        return ModelEntry(id=model_id, provider=name, upstream=upstream, type=next(marked, ModelType.LLM))

    def _advice(self, model_id: str) -> str:
        names = ", ".join(sorted(self._models)) or "none"
        providers = ", ".join(f"{name}/…" for name in sorted(self._providers))
        return (
            f"Model {model_id!r:.200} is not known. Known are {names[:1000]}, and any model of {providers}. "
            "Add it under [models] in assay.toml or with `assay models add`."
        )

    def list_models(self) -> list[ListedModel]:
        """The configured models whose provider is configured too, by id."""
        rows = [self._models[model_id] for model_id in sorted(self._models)]
        return [
            ListedModel(row, provider, ResolvedModel(row, provider).simulated)
            for row in rows
            if (provider := self._providers.get(row.provider)) is not None
        ]

    def list_providers(self) -> list[ProviderEntry]:
        """The configured providers, by name."""
        return [self._providers[name] for name in sorted(self._providers)]

    def roles(self) -> dict[ModelRole, str]:
        """The models that ``auto`` means."""
        return dict(self._roles)


def _no_provider(model_id: str, provider: str) -> str:
    hint = _KEY_HINTS.get(provider)
    configure = f"Set {hint}, or add" if hint else "Add"
    return (
        f"Model {model_id!r:.200} needs the provider {provider!r:.100}, which is not configured. {configure} "
        f"[providers.{provider}] to assay.toml, or use `assay models add`."
    )
