"""Gateways for tests: settings and ``assay.toml`` in a folder, providers at a mock server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from assay.db.engine import SessionFactory
from assay.gateway.calls import Observer
from assay.gateway.gateway import Gateway, open_gateway
from assay.kit.secrets import SecretBox
from assay.settings import CoreSettings, ProviderSettings, Settings

OPENAI_KEY = "sk-openai-0123456789"
ANTHROPIC_KEY = "sk-ant-0123456789"


class OpenGateway(Protocol):
    def __call__(
        self,
        url: str | None = None,
        *,
        toml: str | None = None,
        sessions: SessionFactory | None = None,
        secrets: SecretBox | None = None,
        observer: Observer | None = None,
        variables: dict[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Gateway]: ...


def gateway_opener(tmp_path: Path) -> OpenGateway:
    """A function that opens gateways: providers at the URL, the text as ``assay.toml`` in the folder."""

    @asynccontextmanager
    async def open_one(
        url: str | None = None,
        *,
        toml: str | None = None,
        sessions: SessionFactory | None = None,
        secrets: SecretBox | None = None,
        observer: Observer | None = None,
        variables: dict[str, str] | None = None,
    ) -> AsyncGenerator[Gateway]:
        if toml is not None:
            (tmp_path / "assay.toml").write_text(toml, encoding="utf-8")
        root = None if url is None else url.removesuffix("/v1")
        providers = ProviderSettings(
            openai_api_key=None if url is None else SecretStr(OPENAI_KEY),
            openai_base_url=url,
            anthropic_api_key=None if url is None else SecretStr(ANTHROPIC_KEY),
            anthropic_base_url=root,
        )
        settings = Settings(core=CoreSettings(home=tmp_path, config=None), providers=providers)
        found = variables or {}
        gateway = await open_gateway(
            settings,
            sessions,
            secrets=secrets,
            observer=observer,
            folder=tmp_path,
            variables=found.get,
        )
        async with gateway:
            yield gateway

    return open_one
