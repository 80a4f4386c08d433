from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.support.gateways import OpenGateway
from tests.support.model_server import ModelServer

from assay.gateway.config import environment_part, file_part, find_config
from assay.gateway.entries import ModelType, Source
from assay.gateway.errors import CatalogConfigError, UnknownModelError
from assay.gateway.types import Message, ModelRequest, ModelRole
from assay.settings import CoreSettings, ProviderSettings

URL = "http://127.0.0.1:9/v1"
FILE = """
[providers.local]
base_url = "http://127.0.0.1:11434/v1/"
api_key_env = "LOCAL_KEY"
max_concurrency = 4

[models.qwen]
provider = "local"
upstream = "qwen3:8b"
context_window = 32768
prices = {input = 0.5, output = 1.5}
details = {license = "apache-2.0"}

[roles]
judge = "qwen"
"""


@pytest.mark.parametrize(
    ("model_id", "provider", "upstream", "kind"),
    [
        ("openai/any/name:8b", "openai", "any/name:8b", ModelType.LLM),
        ("gpt-4o-mini", "openai", "gpt-4o-mini", ModelType.LLM),
        ("o3-mini", "openai", "o3-mini", ModelType.LLM),
        ("text-embedding-3-small", "openai", "text-embedding-3-small", ModelType.EMBEDDINGS),
        ("whisper-1", "openai", "whisper-1", ModelType.SPEECH_TO_TEXT),
        ("anthropic/claude-x", "anthropic", "claude-x", ModelType.LLM),
        ("claude-x", "anthropic", "claude-x", ModelType.LLM),
        ("simulator/strong", "simulator", "strong", ModelType.LLM),
        ("local/other", "local", "other", ModelType.LLM),
        ("qwen", "local", "qwen3:8b", ModelType.LLM),
    ],
)
async def test_resolution(
    model_id: str, provider: str, upstream: str, kind: ModelType, gateway_at: OpenGateway
) -> None:
    async with gateway_at(URL, toml=FILE, variables={"LOCAL_KEY": "k"}) as gateway:
        model = gateway.catalog.resolve(model_id)
    assert (model.id, model.provider.name, model.upstream, model.entry.type) == (model_id, provider, upstream, kind)


@pytest.mark.parametrize(
    ("model_id", "says"),
    [
        ("nonsense", "is not known"),
        ("gpt-4o", "OPENAI_API_KEY"),
        ("openai/x", "OPENAI_API_KEY"),
        ("claude-x", "ANTHROPIC_API_KEY"),
        ("simulator/genius", "simulator/strong"),
        ("nowhere/x", "assay.toml"),
        ("openai/", "is not known"),
        ("", "is not known"),
        ("auto", "[roles]"),
    ],
)
async def test_an_unknown_model_says_what_to_do(model_id: str, says: str, gateway_at: OpenGateway) -> None:
    async with gateway_at() as gateway:
        with pytest.raises(UnknownModelError) as caught:
            gateway.catalog.resolve(model_id)
    assert says in caught.value.message
    assert caught.value.param == "model"


async def test_auto_depends_on_the_role(gateway_at: OpenGateway) -> None:
    async with gateway_at(toml=FILE, variables={"LOCAL_KEY": "k"}) as gateway:
        assert gateway.catalog.resolve("auto", ModelRole.JUDGE).id == "qwen"
        with pytest.raises(UnknownModelError, match="candidate"):
            gateway.catalog.resolve("auto", ModelRole.CANDIDATE)


async def test_the_file_overrides_the_environment(gateway_at: OpenGateway) -> None:
    toml = '[providers.openai]\nbase_url = "http://127.0.0.1:1/v1"\n'
    async with gateway_at(URL, toml=toml) as gateway:
        provider = gateway.catalog.resolve("gpt-4o").provider
    assert (provider.base_url, provider.source) == ("http://127.0.0.1:1/v1", Source.FILE)


async def test_the_list_shows_what_is_configured(gateway_at: OpenGateway) -> None:
    async with gateway_at(toml=FILE, variables={"LOCAL_KEY": "sk-hidden"}) as gateway:
        rows = {row.entry.id: row for row in gateway.catalog.list_models()}
    assert rows["qwen"].owned_by == "local"
    assert not rows["qwen"].simulated
    assert rows["qwen"].entry.details == {"license": "apache-2.0"}
    assert rows["qwen"].entry.modalities == (("text",), ("text",))
    assert rows["simulator/strong"].owned_by == "simulator"
    assert all(row.simulated for name, row in rows.items() if name.startswith("simulator/"))
    assert "sk-hidden" not in repr(rows)


FAULTS = [
    ("x =", "assay.toml"),
    ("[provider.x]", "provider"),
    ('[providers.x]\nurl = "http://a"', "providers.x.url"),
    ('[providers.x]\nbase_url = "ftp://a"', "providers.x.base_url"),
    ('[providers.x]\nbase_url = "http://u:p@a/v1"', "providers.x.base_url"),
    ('[providers.x]\nbase_url = "http://a:99999/v1"', "providers.x.base_url"),
    ('[providers.x]\napi_key_env = "UNSET"', "providers.x.api_key_env"),
    ('[providers.x]\nkind = "magic"', "providers.x.kind"),
    ('[providers.x]\nkind = "anthropic"\napi = "responses"', "providers.x.api"),
    ("[providers.simulator]", "providers.simulator"),
    ('[models.m]\nupstream = "x"', "models.m.provider"),
    ('[models.auto]\nprovider = "x"', 'models."auto"'),
    ('[models.m]\nprovider = "x"\nprices = {input = -1}', "models.m.prices.input"),
    ('[models.m]\nprovider = "x"\ndetails = {colour = "red"}', 'models."m".details'),
    ('[models.m]\nprovider = "x"\nsimulator = {}', 'models."m".simulator'),
    ('[models.m]\nprovider = "simulator"', 'models."m".simulator'),
    ('[models.m]\nprovider = "simulator"\nsimulator = {accuracy = 2}', 'models."m".simulator.accuracy'),
    ('[models.m]\nprovider = "simulator"\nsimulator = {skills = ["chess"]}', 'models."m".simulator.skills'),
    (
        '[models.m]\nprovider = "simulator"\nsimulator = {rules = [{pattern = "(", answer = "x"}]}',
        'models."m".simulator.rules[0].pattern',
    ),
    ('[roles]\ncook = "m"', "roles.cook"),
]


@pytest.mark.parametrize(("toml", "where"), FAULTS)
def test_a_fault_in_the_file_is_named(toml: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "assay.toml"
    path.write_text(toml)
    with pytest.raises(CatalogConfigError) as caught:
        file_part(path, lambda name: None)
    assert where in f"{caught.value.param} {caught.value.message}"


def test_the_file_is_looked_for(tmp_path: Path) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    core = CoreSettings(home=home, config=None)
    assert find_config(core, here) is None
    (home / "assay.toml").touch()
    assert find_config(core, here) == home / "assay.toml"
    (here / "assay.toml").touch()
    assert find_config(core, here) == here / "assay.toml"
    with pytest.raises(CatalogConfigError, match="ASSAY_CONFIG"):
        find_config(CoreSettings(home=home, config=tmp_path / "absent.toml"), here)


async def test_configured_headers_are_sent(gateway_at: OpenGateway) -> None:
    async with ModelServer() as server:
        toml = f'[providers.x]\nbase_url = "{server.url}"\nheaders = {{"X-Team" = "blue"}}\n'
        async with gateway_at(toml=toml) as gateway:
            await gateway.respond(ModelRequest("x/m", (Message("user", "hi"),)))
        assert server.stats.last_headers["x-team"] == "blue"
        assert "authorization" not in server.stats.last_headers


async def test_white_space_around_a_key_is_dropped(gateway_at: OpenGateway) -> None:
    async with ModelServer() as server:
        toml = f'[providers.x]\nbase_url = "{server.url}"\napi_key_env = "KEY"\n'
        async with gateway_at(toml=toml, variables={"KEY": " sk-1\n"}) as gateway:
            await gateway.respond(ModelRequest("x/m", (Message("user", "hi"),)))
        assert server.stats.last_headers["authorization"] == "Bearer sk-1"


async def test_a_key_that_no_header_can_hold_is_refused(gateway_at: OpenGateway) -> None:
    with pytest.raises(CatalogConfigError) as caught:
        async with gateway_at(toml='[providers.x]\napi_key_env = "KEY"\n', variables={"KEY": "sk-1\nX: y"}):
            pass
    assert caught.value.param == "KEY"
    assert "sk-1" not in caught.value.message


async def test_invented_names_do_not_fill_the_memory(gateway_at: OpenGateway) -> None:
    async with ModelServer() as server, gateway_at(server.url) as gateway:
        for number in range(1100):
            await gateway.embed(f"openai/embed-{number}", ["x"])
        assert gateway.limiter("openai/embed-1") is None
        assert gateway.limiter("openai/embed-1099", ModelRole.EMBEDDING) is not None


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_variable_set_to_nothing_is_not_set(blank: str) -> None:
    part = environment_part(
        ProviderSettings(openai_api_key=SecretStr(blank), openai_base_url="" if not blank else None)
    )
    assert part.providers == {}
