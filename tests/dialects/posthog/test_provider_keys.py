"""Provider keys and the project's active one (P§3.3), against a provider that takes or refuses keys."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from tests.dialects.posthog.conftest import Caller
from tests.support.live import LiveServer

from assay.core.evaluators.models import ProviderKeyRow

PATH = "/llm_analytics/provider_keys"
CONFIG = "/llm_analytics/evaluation_config"
KEYS = {
    "id",
    "provider",
    "name",
    "state",
    "error_message",
    "api_key_masked",
    "base_url_display",
    "azure_endpoint_display",
    "api_version_display",
    "created_at",
    "created_by",
    "last_used_at",
}


def new_secret() -> str:
    return f"sk-{uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Maker:
    """Stores keys."""

    caller: Caller
    url: str

    def body(self, **changes: Any) -> dict[str, Any]:
        return {"provider": "openai", "name": "main", "api_key": new_secret(), "base_url": self.url, **changes}

    async def make(self, **changes: Any) -> dict[str, Any]:
        return await self.caller.ok("POST", f"{PATH}/", self.body(**changes))


@pytest.fixture
def maker(caller: Caller, provider_url: str) -> Maker:
    return Maker(caller, provider_url)


async def test_a_key_is_tried_stored_and_never_shown(maker: Maker, live: LiveServer) -> None:
    body = maker.body(name="  main ", id="x", state="invalid")
    response = await maker.caller.send("POST", PATH, body)
    made = response.json()

    assert response.status_code == 201
    assert set(made) == KEYS
    assert body["api_key"] not in response.text
    assert (made["name"], made["state"], made["error_message"], made["last_used_at"]) == ("main", "ok", None, None)
    assert made["api_key_masked"] == f"{body['api_key'][:4]}...{body['api_key'][-4:]}"
    assert made["base_url_display"] == maker.url
    assert await maker.caller.ok("GET", f"{PATH}/{made['id']}/") == made
    listed = await maker.caller.ok("GET", PATH)
    assert listed["results"][0] == made

    async def stored() -> ProviderKeyRow:
        async with live.runtime.sessions() as session:
            return (await session.scalars(select(ProviderKeyRow).where(ProviderKeyRow.id == UUID(made["id"])))).one()

    row = await asyncio.to_thread(live.call, stored())
    assert row.sealed_secret is not None
    assert body["api_key"].encode() not in row.sealed_secret


async def test_short_keys_show_nothing(maker: Maker) -> None:
    made = await maker.make(provider="openai_compatible", api_key="12345678")

    assert made["api_key_masked"] == "****"


@pytest.mark.parametrize(
    ("status", "words"), [(401, "does not know"), (403, "403"), (404, "404"), (429, "429"), (500, "500")]
)
async def test_a_key_that_does_not_work_is_not_stored(maker: Maker, live: LiveServer, status: int, words: str) -> None:
    body = maker.body(name=uuid4().hex)
    live.models.behaviour.key_statuses[body["api_key"]] = status

    error = await maker.caller.refused(400, "POST", PATH, body)

    assert error["attr"] == "api_key"
    assert words in error["detail"]
    assert body["api_key"] not in error["detail"]
    listed = await maker.caller.ok("GET", PATH, params={"limit": 1000})
    assert body["name"] not in {key["name"] for key in listed["results"]}


@pytest.mark.parametrize(
    ("changes", "attr", "code"),
    [
        ({"provider": None}, "provider", "null"),
        ({"provider": "acme"}, "provider", "invalid_choice"),
        ({"name": ""}, "name", "blank"),
        ({"name": "x" * 256}, "name", "max_length"),
        ({"api_key": ""}, "api_key", "blank"),
        ({"api_key": "no-prefix"}, "api_key", "invalid"),
        ({"api_key": "sk-with\nline"}, "api_key", "invalid"),
        ({"api_key": "sk-ünicode"}, "api_key", "invalid"),
        ({"provider": "anthropic", "api_key": "sk-plain"}, "api_key", "invalid"),
        ({"provider": "zeabur", "api_key": "zb-plain"}, "api_key", "invalid"),
        ({"base_url": "http://169.254.169.254/v1"}, "base_url", "invalid"),
        ({"base_url": "ftp://example.com"}, "base_url", "invalid"),
        ({"base_url": "https://user:pw@example.com"}, "base_url", "invalid"),
        ({"provider": "openai_compatible", "base_url": None}, "base_url", "invalid"),
        ({"provider": "azure_openai"}, "azure_endpoint", "invalid"),
        ({"provider": "azure_openai", "azure_endpoint": "x"}, "azure_endpoint", "invalid"),
        ({"api_version": "x" * 21}, "api_version", "max_length"),
        ({"base_url": "https://10.0.0.1/v1"}, "api_key", "invalid"),
        ({"provider": "azure_openai", "azure_endpoint": "https://10.0.0.1"}, "azure_endpoint", "invalid"),
    ],
)
async def test_refusals(maker: Maker, changes: dict[str, Any], attr: str, code: str) -> None:
    error = await maker.caller.refused(400, "POST", PATH, maker.body(**changes))

    assert (error["attr"], error["code"]) == (attr, code)


@pytest.mark.parametrize("field", ["provider", "name", "api_key"])
async def test_what_is_required(maker: Maker, field: str) -> None:
    body = {name: value for name, value in maker.body().items() if name != field}

    error = await maker.caller.refused(400, "POST", PATH, body)

    assert (error["attr"], error["code"]) == (field, "required")


async def test_anthropic_keys_are_shown_their_own_way(maker: Maker, live: LiveServer) -> None:
    secret = f"sk-ant-{uuid4().hex}"
    root = maker.url.removesuffix("/v1")
    made = await maker.make(provider="anthropic", api_key=secret, base_url=root)
    assert made["state"] == "ok"

    live.models.behaviour.key_statuses[secret] = 401
    checked = await maker.caller.send("POST", f"{PATH}/{made['id']}/validate")
    assert (checked.status_code, checked.json()["state"]) == (200, "invalid")


async def test_replacing_a_secret_tries_the_new_one(maker: Maker, live: LiveServer) -> None:
    made = await maker.make()
    path = f"{PATH}/{made['id']}"
    bad, good = new_secret(), new_secret()
    live.models.behaviour.key_statuses[bad] = 401

    await maker.caller.refused(400, "PATCH", path, {"api_key": bad, "name": "lost"})
    assert await maker.caller.ok("GET", path) == made
    changed = await maker.caller.ok("PATCH", path, {"api_key": good, "name": "new"})
    assert changed == made | {"name": "new", "api_key_masked": f"{good[:4]}...{good[-4:]}"}


async def test_a_new_base_url_needs_the_secret_again(maker: Maker) -> None:
    made = await maker.make()
    path = f"{PATH}/{made['id']}"

    error = await maker.caller.refused(400, "PATCH", path, {"base_url": "https://evil.example/v1"})
    assert error["attr"] == "api_key"
    assert await maker.caller.ok("PATCH", path, {"base_url": made["base_url_display"]}) == made
    error = await maker.caller.refused(400, "PATCH", path, {"provider": "anthropic"})
    assert error["attr"] == "provider"


async def test_changing_the_place_alone_makes_the_state_unknown(maker: Maker) -> None:
    made = await maker.make()
    path = f"{PATH}/{made['id']}"

    changed = await maker.caller.ok("PATCH", path, {"api_version": "2024-10-21"})

    assert (changed["state"], changed["api_version_display"]) == ("unknown", "2024-10-21")
    error = await maker.caller.refused(400, "POST", f"{CONFIG}/set_active_key", {"key_id": made["id"]})
    assert "`unknown`" in error["detail"]
    checked = await maker.caller.send("POST", f"{PATH}/{made['id']}/validate/")
    assert checked.json()["state"] == "ok"


async def test_a_provider_that_fails_is_no_invalid_key(maker: Maker, live: LiveServer) -> None:
    secret = new_secret()
    made = await maker.make(api_key=secret)
    live.models.behaviour.key_statuses[secret] = 503

    checked = (await maker.caller.send("POST", f"{PATH}/{made['id']}/validate/")).json()

    assert checked["state"] == "error"
    assert "503" in checked["error_message"]


async def test_the_active_key(maker: Maker) -> None:
    caller = maker.caller
    first = await caller.ok("GET", CONFIG)
    assert set(first) == {
        "active_provider_key",
        "created_at",
        "updated_at",
        "trial_eval_limit",
        "trial_evals_used",
        "trial_evals_remaining",
    }
    assert (await caller.ok("GET", f"{CONFIG}/"))["created_at"] == first["created_at"]
    made = await maker.make(set_as_active=True)
    assert (await caller.ok("GET", CONFIG))["active_provider_key"] == made
    other = await maker.make(name="other")
    response = await caller.send("POST", f"{CONFIG}/set_active_key/", {"key_id": other["id"]})
    assert (response.status_code, response.json()["active_provider_key"]) == (200, other)

    body = {
        "name": "judge",
        "evaluation_type": "llm_judge",
        "evaluation_config": {"prompt": "Polite?"},
        "output_type": "boolean",
        "enabled": True,
        "model_configuration": {"provider": "openai", "model": "gpt-5-mini"},
    }
    assert (await caller.ok("POST", "/evaluations", body))["status"] == "active"
    gemini = body | {"model_configuration": {"provider": "gemini", "model": "gemini-2.5-flash"}}
    assert (await caller.refused(400, "POST", "/evaluations", gemini))["attr"] == "enabled"

    deleted = await caller.send("DELETE", f"{PATH}/{other['id']}/")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await caller.ok("GET", CONFIG))["active_provider_key"] is None
    await caller.refused(404, "GET", f"{PATH}/{other['id']}")
    for unknown in (str(uuid4()), "x", other["id"]):
        error = await caller.refused(404, "POST", f"{CONFIG}/set_active_key", {"key_id": unknown})
        assert unknown in error["detail"]


async def test_models_of_a_key(maker: Maker) -> None:
    made = await maker.make(provider="together_ai", api_key=uuid4().hex)
    path = "/llm_analytics/models/"

    params = {"provider": "together_ai", "key_id": made["id"]}
    assert await maker.caller.ok("GET", path, params=params) == {"models": [{"id": "mock"}]}
    assert await maker.caller.ok("GET", path, params={"provider": "minimax"}) == {"models": []}
    assert (await maker.caller.refused(400, "GET", path))["attr"] == "provider"
    await maker.caller.refused(404, "GET", path, params={"provider": "openai", "key_id": made["id"]})


async def test_another_project_sees_no_key(maker: Maker, stranger: Caller) -> None:
    made = await maker.make()

    assert made["id"] not in {key["id"] for key in (await stranger.ok("GET", PATH))["results"]}
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/validate")):
        await stranger.refused(404, method, f"{PATH}/{made['id']}{path}", {} if method != "GET" else None)
    await stranger.refused(404, "POST", f"{CONFIG}/set_active_key", {"key_id": made["id"]})
    assert await maker.caller.ok("GET", f"{PATH}/{made['id']}") == made
