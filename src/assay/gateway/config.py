"""Providers, models and roles from ``assay.toml`` and from the environment.

    [providers.local]
    kind = "openai"
    base_url = "http://127.0.0.1:11434/v1"

    [models."qwen"]
    provider = "local"
    upstream = "qwen3:8b"

    [roles]
    judge = "qwen"

Unknown tables and fields are errors, so that a misspelt one cannot pass unnoticed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from assay.gateway.entries import (
    ANTHROPIC_BASE_URL,
    OPENAI_BASE_URL,
    SIMULATOR,
    ApiForm,
    ModelEntry,
    ModelType,
    ProviderEntry,
    ProviderKind,
    Source,
    TokenPrices,
)
from assay.gateway.errors import CatalogConfigError
from assay.gateway.simulator.provider import EMBEDDING_DIMENSIONS, PRESETS, parse_behaviour
from assay.gateway.types import ModelRole
from assay.settings import CoreSettings, ProviderSettings

CONFIG_NAME = "assay.toml"
Variables = Callable[[str], str | None]
"""Value of an environment variable, or None."""

DETAIL_FIELDS = frozenset(
    {
        "max_image_resolution",
        "min_image_resolution",
        "embedding_dimension_range",
        "parameter_count",
        "active_parameter_count",
        "release_date",
        "serving_locations",
        "developer",
        "base_model",
        "weights",
        "license",
        "languages",
        "tts",
        "limitations",
        "lifecycle",
        "capabilities",
    }
)
"""Facts of the models list that Assay only passes on."""


@dataclass(frozen=True, slots=True)
class CatalogPart:
    """What one source of configuration contributes; later parts override earlier ones by name."""

    providers: Mapping[str, ProviderEntry] = field(default_factory=dict[str, ProviderEntry])
    models: Mapping[str, ModelEntry] = field(default_factory=dict[str, ModelEntry])
    roles: Mapping[ModelRole, str] = field(default_factory=dict[ModelRole, str])
    answer_key: Path | None = None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProviderConfig(_Strict):
    """A ``[providers.<name>]`` table."""

    kind: ProviderKind = ProviderKind.OPENAI
    base_url: str | None = None
    api: ApiForm = ApiForm.CHAT
    api_key: SecretStr | None = None
    api_key_env: str | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    max_concurrency: int = Field(default=256, ge=1, le=4096)
    max_tokens_field: str | None = None


class PricesConfig(_Strict):
    """US dollars for a million tokens."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(default=Decimal(0), ge=0)
    cached_input: Decimal | None = Field(default=None, ge=0)
    cache_write: Decimal | None = Field(default=None, ge=0)


class ModelConfig(_Strict):
    """A ``[models."<id>"]`` table."""

    provider: str
    upstream: str | None = None
    type: ModelType = ModelType.LLM
    prices: PricesConfig | None = None
    context_window: int | None = Field(default=None, ge=1)
    embedding_dimensions: int | None = Field(default=None, ge=1, le=65536)
    max_batch_size: int = Field(default=128, ge=1, le=4096)
    owned_by: str | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    details: dict[str, Any] = Field(default_factory=dict)
    simulator: dict[str, Any] | None = None


class SimulatorConfig(_Strict):
    """The ``[simulator]`` table."""

    answer_key: Path | None = None


class FileConfig(BaseModel):
    """The part of ``assay.toml`` that is about models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    providers: dict[str, ProviderConfig] = Field(default_factory=dict)
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    roles: dict[ModelRole, str] = Field(default_factory=dict[ModelRole, str])
    simulator: SimulatorConfig = Field(default_factory=SimulatorConfig)


M = TypeVar("M", bound=BaseModel)


def built_in_part() -> CatalogPart:
    """The simulator and its ready-made models."""
    provider = ProviderEntry(
        name=SIMULATOR,
        kind=ProviderKind.SIMULATOR,
        base_url="simulator:",
        max_concurrency=1024,
        source=Source.BUILT_IN,
    )
    chat = [
        ModelEntry(
            id=f"{SIMULATOR}/{name}",
            provider=SIMULATOR,
            upstream=name,
            owned_by=SIMULATOR,
            simulator=behaviour.model_dump(mode="json"),
            source=Source.BUILT_IN,
        )
        for name, behaviour in PRESETS.items()
    ]
    embedding = ModelEntry(
        id=f"{SIMULATOR}/embedding",
        provider=SIMULATOR,
        upstream="embedding",
        type=ModelType.EMBEDDINGS,
        embedding_dimensions=EMBEDDING_DIMENSIONS,
        owned_by=SIMULATOR,
        simulator={},
        source=Source.BUILT_IN,
    )
    transcription = ModelEntry(
        id=f"{SIMULATOR}/transcription",
        provider=SIMULATOR,
        upstream="transcription",
        type=ModelType.SPEECH_TO_TEXT,
        owned_by=SIMULATOR,
        simulator={"accuracy": 0.95},
        source=Source.BUILT_IN,
    )
    return CatalogPart({SIMULATOR: provider}, {entry.id: entry for entry in (*chat, embedding, transcription)})


def environment_part(settings: ProviderSettings) -> CatalogPart:
    """The providers ``openai`` and ``anthropic``, where their variables are set.

    Raises:
        CatalogConfigError: A base URL is no http(s) URL.
    """
    rows = (
        (ProviderKind.OPENAI, settings.openai_api_key, settings.openai_base_url, OPENAI_BASE_URL),
        (ProviderKind.ANTHROPIC, settings.anthropic_api_key, settings.anthropic_base_url, ANTHROPIC_BASE_URL),
    )
    providers: dict[str, ProviderEntry] = {}
    for kind, secret, base_url, default in rows:
        # A variable that is set to nothing is how shells and compose files unset one.
        key = "" if secret is None else secret.get_secret_value().strip()
        if key or base_url:
            providers[kind.value] = ProviderEntry(
                name=kind.value,
                kind=kind,
                base_url=check_base_url(base_url or default, f"{kind.value.upper()}_BASE_URL"),
                api_key=check_key(key, f"{kind.value.upper()}_API_KEY") if key else None,
                source=Source.ENVIRONMENT,
            )
    return CatalogPart(providers)


def find_config(core: CoreSettings, folder: Path) -> Path | None:
    """The configured ``assay.toml``, else the one in the folder, else the one in ``ASSAY_HOME``.

    Raises:
        CatalogConfigError: ``ASSAY_CONFIG`` names a file that is not there.
    """
    if core.config is not None:
        if not core.config.is_file():
            raise CatalogConfigError(f"ASSAY_CONFIG is {core.config}, but there is no such file.", param="ASSAY_CONFIG")
        return core.config
    return next((path for base in (folder, core.home) if (path := base / CONFIG_NAME).is_file()), None)


def file_part(path: Path, variables: Variables) -> CatalogPart:
    """Read ``assay.toml``.

    Args:
        path: Of the file; relative paths in it start from its folder.
        variables: Looks up the variables named by ``api_key_env``.

    Raises:
        CatalogConfigError: The file is no TOML, or a field is unknown or wrong; ``param`` names it.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise CatalogConfigError(f"{path}: {exc}.", param=str(path)) from exc
    config = _validated(FileConfig, tables, str(path))
    key = config.simulator.answer_key
    return CatalogPart(
        {name: provider_entry(name, row, variables) for name, row in config.providers.items()},
        {name: model_entry(name, row) for name, row in config.models.items()},
        config.roles,
        None if key is None else path.parent / key,
    )


def provider_entry(
    name: str, config: ProviderConfig, variables: Variables, *, source: Source = Source.FILE
) -> ProviderEntry:
    """A provider from its configuration.

    Raises:
        CatalogConfigError: A field is wrong, or ``api_key_env`` names a variable that is not set.
    """
    where = f"providers.{name}"
    if config.kind is ProviderKind.SIMULATOR or name == SIMULATOR or "/" in name or not name:
        raise CatalogConfigError(
            f"{where}: choose another name or kind; the simulator is built in and names hold no slash.", param=where
        )
    default = OPENAI_BASE_URL if config.kind is ProviderKind.OPENAI else ANTHROPIC_BASE_URL
    if config.kind is ProviderKind.ANTHROPIC and config.api is ApiForm.RESPONSES:
        raise CatalogConfigError(f"{where}.api: Anthropic has no responses API.", param=f"{where}.api")
    return ProviderEntry(
        name=name,
        kind=config.kind,
        base_url=check_base_url(config.base_url or default, f"{where}.base_url"),
        api_key=_api_key(config, where, variables),
        api=config.api,
        headers=tuple(
            (header, check_key(value.get_secret_value(), f"{where}.headers.{header}"))
            for header, value in config.headers.items()
        ),
        max_concurrency=config.max_concurrency,
        max_tokens_field=config.max_tokens_field,
        source=source,
    )


def _api_key(config: ProviderConfig, where: str, variables: Variables) -> str | None:
    if config.api_key is not None:
        return check_key(config.api_key.get_secret_value(), f"{where}.api_key")
    if config.api_key_env is None:
        return None
    value = variables(config.api_key_env)
    if not value:
        raise CatalogConfigError(
            f"{where}.api_key_env names {config.api_key_env}, but that variable is not set.",
            param=f"{where}.api_key_env",
        )
    return check_key(value, config.api_key_env)


def check_key(key: str, where: str) -> str:
    """The key without white space around it, which a variable read from a file often has.

    Raises:
        CatalogConfigError: It is empty, or cannot stand in a header.
    """
    key = key.strip()
    if not key or not key.isprintable() or not key.isascii():
        raise CatalogConfigError(f"{where}: the key is empty or holds characters that no key has.", param=where)
    return key


def check_base_url(url: str, where: str) -> str:
    """The URL without a trailing slash. Loopback and private hosts are fine: the operator sets it.

    Raises:
        CatalogConfigError: It is not an absolute http(s) URL without query and credentials.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        sound = sound and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound:
        raise CatalogConfigError(f"{where}: {url!r:.200} is not a plain http:// or https:// URL.", param=where)
    return url.rstrip("/")


def model_entry(model_id: str, config: ModelConfig, *, source: Source = Source.FILE) -> ModelEntry:
    """A model from its configuration.

    Raises:
        CatalogConfigError: A field is wrong.
    """
    where = f'models."{model_id}"'
    if model_id == "auto" or not model_id.strip():
        raise CatalogConfigError(f"{where}: a model cannot have this id.", param=where)
    unknown = set(config.details) - DETAIL_FIELDS
    if unknown:
        known = ", ".join(sorted(DETAIL_FIELDS))
        raise CatalogConfigError(f"{where}.details.{min(unknown)} is not known; known are {known}.", param=where)
    if (config.simulator is not None) != (config.provider == SIMULATOR):
        raise CatalogConfigError(f"{where}.simulator goes together with provider = {SIMULATOR!r}.", param=where)
    behaviour = None
    if config.simulator is not None:
        behaviour = parse_behaviour(config.simulator, f"{where}.simulator").model_dump(mode="json")
    prices = config.prices
    return ModelEntry(
        id=model_id,
        provider=config.provider,
        upstream=config.upstream or model_id.removeprefix(f"{config.provider}/"),
        type=config.type,
        prices=None if prices is None else TokenPrices(**prices.model_dump()),
        context_window=config.context_window,
        embedding_dimensions=config.embedding_dimensions,
        max_batch_size=config.max_batch_size,
        owned_by=config.owned_by,
        input_modalities=config.input_modalities,
        output_modalities=config.output_modalities,
        details=config.details,
        simulator=behaviour,
        source=source,
    )


def _validated(model: type[M], tables: Mapping[str, Any], where: str) -> M:
    try:
        return model.model_validate(dict(tables))
    except ValidationError as exc:
        first = exc.errors(include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise CatalogConfigError(f"{where}: {path}: {first['msg']}.", param=path) from exc
