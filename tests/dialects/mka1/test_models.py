"""The model catalog (M§3.7)."""

from __future__ import annotations

from tests.dialects.mka1.conftest import Connect
from tests.support.mka1 import Client
from tests.support.tenants import Tenants


async def test_list_and_get(client: Client) -> None:
    page = await client.call("models.list")
    listed = client.last.json["data"]

    assert page.data
    assert [row["id"] for row in listed] == sorted(row["id"] for row in listed)
    for row in listed:
        assert "/" in row["id"]
        await client.call("models.get", model_id=row["id"])
        assert client.last.json == row


async def test_simulated_models_say_so(client: Client) -> None:
    page = await client.call("models.list")

    simulated = [model for model in page.data if model.id.startswith("simulator/")]
    assert simulated
    assert all("Simulated" in model.limitations for model in simulated)


async def test_not_found(client: Client) -> None:
    for model_id in ("nobody/knows", "openai/gpt-x:latest", "x" * 500, "é/ü"):
        error = await client.refused(404, "models.get", model_id=model_id)
        assert error["param"] == "model_id"


async def test_every_key_may_read_the_catalog(connect: Connect, tenants: Tenants) -> None:
    for token in (tenants.read_only, tenants.no_scopes, tenants.other_organization):
        assert (await connect(token).call("models.list")).data
    for token in (None, "mk-wrong"):
        await connect(token).refused(401, "models.list")
        await connect(token).refused(401, "models.get", model_id="nobody/knows")
