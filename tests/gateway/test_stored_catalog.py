from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from tests.support.gateways import OpenGateway
from tests.support.model_server import ModelServer

from assay.db.engine import SessionFactory
from assay.gateway.config import ModelConfig, PricesConfig, ProviderConfig
from assay.gateway.entries import Source
from assay.gateway.errors import CatalogConfigError, UnknownModelError
from assay.gateway.models import ProviderRow
from assay.gateway.repository import delete_model, delete_provider, load_stored_part, save_model, save_provider
from assay.gateway.types import Message, ModelRequest, ModelRole
from assay.kit.secrets import SecretBox, SecretKeyError


async def _save_provider(sessions: SessionFactory, secrets: SecretBox, url: str, key: str = "sk-stored-key") -> None:
    config = ProviderConfig(base_url=url, api_key=SecretStr(key))
    async with sessions.begin() as session:
        await save_provider(session, "stored", config=config, secrets=secrets)


async def test_a_stored_model_is_called_with_its_stored_key(
    sessions: SessionFactory, secrets: SecretBox, gateway_at: OpenGateway
) -> None:
    async with ModelServer() as server, gateway_at(sessions=sessions, secrets=secrets) as gateway:
        with pytest.raises(UnknownModelError):
            await gateway.respond(ModelRequest("mine", (Message("user", "hi"),)))
        await _save_provider(sessions, secrets, server.url)
        prices = PricesConfig(input=Decimal(1), output=Decimal(2))
        config = ModelConfig(provider="stored", upstream="theirs", prices=prices, context_window=100)
        async with sessions.begin() as session:
            await save_model(session, "mine", config=config, roles=(ModelRole.JUDGE,))
        await gateway.catalog.refresh(force=True)
        reply = await gateway.respond(ModelRequest("auto", (Message("user", "answer=a"),), role=ModelRole.JUDGE))
        assert server.stats.last_headers["authorization"] == "Bearer sk-stored-key"
        assert server.stats.last_body["model"] == "theirs"
        entry = gateway.catalog.resolve("mine").entry
    assert (reply.text, reply.model, reply.cost_usd) == ("a", "mine", Decimal("0.000005"))
    assert (entry.context_window, entry.source) == (100, Source.DATABASE)


async def test_the_key_is_encrypted_in_the_table(sessions: SessionFactory, secrets: SecretBox) -> None:
    await _save_provider(sessions, secrets, "http://127.0.0.1:1/v1")
    async with sessions() as session:
        row = (await session.scalars(select(ProviderRow))).one()
    assert row.api_key is not None
    assert b"sk-stored-key" not in row.api_key
    assert secrets.decrypt(row.api_key) == "sk-stored-key"


async def test_saving_again_replaces_and_deleting_removes(sessions: SessionFactory, secrets: SecretBox) -> None:
    await _save_provider(sessions, secrets, "http://127.0.0.1:1/v1")
    await _save_provider(sessions, secrets, "http://127.0.0.1:2/v1")
    async with sessions.begin() as session:
        await save_model(session, "a", config=ModelConfig(provider="stored"), roles=(ModelRole.JUDGE,))
        await save_model(session, "b", config=ModelConfig(provider="stored"), roles=(ModelRole.JUDGE,))
        await save_model(session, "a", config=ModelConfig(provider="stored", upstream="new"))
    part = await load_stored_part(sessions, secrets)
    assert part.providers["stored"].base_url == "http://127.0.0.1:2/v1"
    assert part.models["a"].upstream == "new"
    assert part.roles == {ModelRole.JUDGE: "b"}
    async with sessions.begin() as session:
        assert await delete_provider(session, "stored")
        assert not await delete_provider(session, "stored")
        assert await delete_model(session, "a")
        assert not await delete_model(session, "a")


async def test_another_secret_key_is_reported(sessions: SessionFactory, secrets: SecretBox) -> None:
    await _save_provider(sessions, secrets, "http://127.0.0.1:1/v1")
    with pytest.raises(SecretKeyError):
        await load_stored_part(sessions, SecretBox("another key, also long"))
    with pytest.raises(CatalogConfigError, match="ASSAY_SECRET_KEY"):
        await load_stored_part(sessions, None)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("simulator", ProviderConfig()),
        ("a/b", ProviderConfig()),
        ("x", ProviderConfig(base_url="file:///etc/passwd")),
        ("x", ProviderConfig(api_key_env="HOME")),
    ],
)
async def test_a_wrong_provider_is_not_saved(
    name: str, config: ProviderConfig, sessions: SessionFactory, secrets: SecretBox
) -> None:
    async with sessions() as session:
        with pytest.raises(CatalogConfigError):
            await save_provider(session, name, config=config, secrets=secrets)
