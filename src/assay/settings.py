"""Every setting, with its default.

Built once by the composition roots and passed down; nothing else reads the environment. Each area reads its
own prefix, e.g. ``ASSAY_DATABASE_URL`` or ``ASSAY_TEMPORAL_ADDRESS``.
"""

from __future__ import annotations

import os
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """PostgreSQL."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_DATABASE_", frozen=True)

    url: SecretStr | None = Field(
        default=None, description="`postgresql://…` of an external server. Unset: Assay starts its own."
    )
    pool_size: int = Field(default=8, ge=1, le=200, description="Connections kept open by one process.")
    statement_timeout_seconds: float = Field(
        default=30.0, gt=0, description="Longest a single statement of the API may take."
    )


class TemporalSettings(BaseSettings):
    """Temporal."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_TEMPORAL_", frozen=True)

    address: str | None = Field(
        default=None, description="`host:port` of an external cluster. Unset: Assay starts its own."
    )
    namespace: str = Field(default="default", description="Temporal namespace.")
    task_queue: str = Field(default="assay", description="Task queue that workers poll.")
    tls: bool = Field(default=False, description="Use TLS towards the cluster.")
    api_key: SecretStr | None = Field(default=None, description="API key for Temporal Cloud.")


class FileSettings(BaseSettings):
    """Uploaded files and artifacts."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_FILES_", frozen=True)

    url: str | None = Field(
        default=None, description="`s3://bucket/prefix` or `file:///path`. Unset: a folder under ASSAY_HOME."
    )
    max_bytes: int = Field(default=512 * 1024 * 1024, ge=1, description="Largest upload, in bytes.")


class LogSettings(BaseSettings):
    """Logs."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_LOG_", frozen=True)

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is written."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto`: console on a terminal, JSON elsewhere."
    )


class ProviderSettings(BaseSettings):
    """Model providers, by the variables that their own tools read."""

    model_config = SettingsConfigDict(frozen=True)

    openai_api_key: SecretStr | None = Field(default=None, description="Key for `openai/…` models.")
    openai_base_url: str | None = Field(
        default=None, description="Any OpenAI-compatible endpoint (vLLM, Ollama, a proxy)."
    )
    anthropic_api_key: SecretStr | None = Field(default=None, description="Key for `anthropic/…` models.")
    anthropic_base_url: str | None = Field(default=None, description="Another endpoint that speaks Anthropic messages.")


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class OutboundSettings(BaseSettings):
    """Requests to URLs that users give, such as webhooks: HTTPS to public addresses, and what is listed here."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_OUTBOUND_", frozen=True)

    allow_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(),
        description="Names, separated by commas, that may lead to any address, and to loopback over plain HTTP.",
    )
    allow_cidrs: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(), description="Networks, separated by commas, that are as good as public: `10.20.0.0/16`."
    )
    webhook_retry_seconds: Annotated[tuple[PositiveFloat, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(5, 30, 120, 600, 3600, 21600, 86400),
        description="Pauses before each further attempt to deliver a webhook, separated by commas.",
    )


class AgentSettings(BaseSettings):
    """Agents and their runs."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_AGENT_", frozen=True)

    retention_days: int = Field(default=30, ge=0, le=3650, description="How long a deleted agent can be restored.")
    max_turns: int = Field(default=50, ge=1, le=1000, description="Most model turns of one run.")
    max_tool_calls: int = Field(default=128, ge=1, le=1000, description="Most tool calls of one run.")
    max_tokens: int = Field(default=1_000_000, ge=1, le=10**9, description="Most tokens of one run, in and out.")
    max_seconds: int = Field(default=3600, ge=1, le=30 * 86_400, description="Longest a run may take, sleeps included.")
    max_cost_usd: Decimal | None = Field(default=None, gt=0, description="Most that a run may cost. Unset: unbounded.")
    max_depth: int = Field(default=5, ge=0, le=20, description="How deep agents may call agents.")


class AccountSettings(BaseSettings):
    """People with passwords."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_ACCOUNTS_", frozen=True)

    registration: bool = Field(
        default=False,
        description="Whether whoever reaches the server may register, with an organization of their own.",
    )


class OnlineSettings(BaseSettings):
    """Judging of production traffic as it arrives."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_ONLINE_", frozen=True)

    judge_provider: str | None = Field(
        default=None,
        description="Provider of the model catalog whose models every project's judges may use without a key.",
    )
    judge_retry_seconds: Annotated[tuple[PositiveFloat, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(10, 20), description="Pauses before each further attempt at a judge's call, separated by commas."
    )
    breaker_failures: PositiveInt = Field(
        default=5, description="Failures in a row after which a provider key is left alone for a while."
    )
    breaker_seconds: PositiveFloat = Field(
        default=30, description="How long at first; doubled each time that the probe fails, up to ten minutes."
    )


class ImportSettings(BaseSettings):
    """Imports of historical results."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_IMPORTS_", frozen=True)

    hub_url: str = Field(default="https://huggingface.co", description="Hugging Face Hub, or a mirror of it.")
    folder: Path | None = Field(
        default=None, description="Folder with repositories as subfolders `owner/name`, read instead of the hub."
    )


class HubSettings(BaseSettings):
    """Hugging Face datasets that suites name."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_HUB_", frozen=True)

    url: str = Field(default="https://huggingface.co", description="Hugging Face Hub, or a mirror of it.")
    folder: Path | None = Field(
        default=None,
        description="Folder of datasets as subfolders `owner/name` or `owner/name@revision`, read instead of the hub.",
    )
    token: SecretStr | None = Field(
        default=None, description="Token for private and gated datasets. Every project can then read what it opens."
    )
    max_bytes: int = Field(default=5 * 1024**3, ge=1, description="Most that is downloaded for one dataset, in bytes.")
    timeout_seconds: float = Field(default=3600, gt=0, description="Longest that reading one dataset may take.")


class CoreSettings(BaseSettings):
    """Where Assay keeps its things, and who may come in."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True)

    home: Path = Field(
        default_factory=lambda: user_data_path("assay"),
        description="Folder for embedded services, files and credentials.",
    )
    config: Path | None = Field(
        default=None,
        description="Path of `assay.toml`. Unset: `assay.toml` in the working folder or in ASSAY_HOME.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Key that encrypts stored secrets. Unset: made on first start, in ASSAY_HOME.",
    )
    bootstrap_api_key: SecretStr | None = Field(
        default=None, description="Preset for the first API key (at least 20 characters)."
    )


class Settings(BaseModel):
    """All areas together."""

    model_config = ConfigDict(frozen=True)

    core: CoreSettings = Field(default_factory=CoreSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    temporal: TemporalSettings = Field(default_factory=TemporalSettings)
    files: FileSettings = Field(default_factory=FileSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    imports: ImportSettings = Field(default_factory=ImportSettings)
    hub: HubSettings = Field(default_factory=HubSettings)
    providers: ProviderSettings = Field(default_factory=ProviderSettings)
    outbound: OutboundSettings = Field(default_factory=OutboundSettings)
    agents: AgentSettings = Field(default_factory=AgentSettings)
    online: OnlineSettings = Field(default_factory=OnlineSettings)
    accounts: AccountSettings = Field(default_factory=AccountSettings)


def load_settings() -> Settings:
    """Read every setting from the environment.

    Raises:
        pydantic.ValidationError: A variable holds a value of the wrong form; the message names it.
    """
    return Settings()


def environment_variable(name: str) -> str | None:
    """Value of a variable that a configuration file names, such as the ``api_key_env`` of a provider."""
    return os.environ.get(name)


def inherited_environment(**changes: str) -> dict[str, str]:
    """The environment of a child process that plays another role: this one's, with some variables set."""
    return {**os.environ, **changes}
