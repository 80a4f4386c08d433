"""``assay models``: providers and models that are kept in the database."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from pydantic import BaseModel, SecretStr

from assay.cli.console import ExitCode, prepare_quietly, print_error, print_json, print_table, run
from assay.settings import Settings, environment_variable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from assay.cli.connecting import Database
    from assay.gateway.catalog import Catalog, ListedModel
    from assay.gateway.types import ModelRole
    from assay.kit.secrets import SecretBox

M = TypeVar("M", bound=BaseModel)


class Role(StrEnum):
    """The values of ``ModelRole``, whose module brings numpy along: too much for ``assay --help``."""

    CANDIDATE = "candidate"
    JUDGE = "judge"
    EMBEDDING = "embedding"
    TRANSCRIPTION = "transcription"


app = typer.Typer(help="List, add and remove models.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_models(*, as_json: Json = False) -> None:
    """List the models of every source: built in, environment, assay.toml, database."""
    settings = prepare_quietly()
    from assay.cli.connecting import open_database

    async def main() -> tuple[Sequence[ListedModel], dict[ModelRole, str]]:
        async with open_database(settings) as database, _catalog(settings, database) as catalog:
            return catalog.list_models(), catalog.roles()

    models, roles = run(main())
    if as_json:
        print_json(
            {
                "models": [_describe(model, roles) for model in models],
                "roles": {role.value: model_id for role, model_id in roles.items()},
            }
        )
        return
    rows = [
        (m.entry.id, m.provider.name, m.entry.upstream, m.entry.type, " ".join(_roles_of(m, roles)), m.entry.source)
        for m in models
    ]
    print_table(("id", "provider", "upstream", "type", "auto for", "source"), rows)


@app.command("add")
def add_model(
    model_id: Annotated[str, typer.Argument(help="Id that suites and runs use.")],
    *,
    provider: Annotated[
        str | None, typer.Option(help="Who serves it. Default: the part of the id before the slash.")
    ] = None,
    upstream: Annotated[str | None, typer.Option(help="The provider's own name of it. Default: from the id.")] = None,
    role: Annotated[
        list[Role] | None, typer.Option(help="Role in which 'auto' shall mean it; may be repeated.")
    ] = None,
    model_type: Annotated[
        Literal["llm", "embeddings", "speech_to_text"], typer.Option("--type", help="What it makes.")
    ] = "llm",
    context_window: Annotated[int | None, typer.Option(min=1, help="Tokens.")] = None,
    dimensions: Annotated[int | None, typer.Option(min=1, help="Of an embedding.")] = None,
    input_price: Annotated[float | None, typer.Option(min=0, help="US dollars for a million tokens.")] = None,
    output_price: Annotated[float | None, typer.Option(min=0, help="US dollars for a million tokens.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of the provider. Given, the provider is stored too, or replaced.")
    ] = None,
    kind: Annotated[Literal["openai", "anthropic"], typer.Option(help="Protocol of the provider.")] = "openai",
    api: Annotated[
        Literal["chat", "responses"], typer.Option(help="Endpoint of the openai protocol that answers.")
    ] = "chat",
    max_concurrency: Annotated[int, typer.Option(min=1, max=4096, help="Most calls in flight.")] = 256,
    ask_key: Annotated[bool, typer.Option("--ask-key", help="Ask for the provider's key, without echo.")] = False,
    key_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read the provider's key from standard input.")
    ] = False,
    key_env: Annotated[
        str | None, typer.Option(help="Variable that holds the provider's key now; the key is stored encrypted.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a model, or replace the one of that id; with --base-url its provider as well.

    A key is never an argument, because other users of the machine see those.
    """
    settings = prepare_quietly()
    name = provider or model_id.partition("/")[0]
    prices = None if input_price is None else {"input": input_price, "output": output_price or 0}
    if prices is None and output_price is not None:
        raise typer.BadParameter("--output-price needs --input-price.")
    model_fields = {
        "provider": name,
        "upstream": upstream,
        "type": model_type,
        "prices": None if prices is None else {key: Decimal(str(value)) for key, value in prices.items()},
        "context_window": context_window,
        "embedding_dimensions": dimensions,
    }
    key = _read_key(ask_key=ask_key, key_stdin=key_stdin, key_env=key_env)
    if key is not None and base_url is None:
        raise typer.BadParameter("A key belongs to a provider: give its --base-url too.")
    provider_fields = None
    if base_url is not None:
        provider_fields = {
            "kind": kind,
            "base_url": base_url,
            "api": api,
            "api_key": key,
            "max_concurrency": max_concurrency,
        }
    run(_add(settings, model_id, model_fields, provider_fields, roles=tuple(role or ())))
    if as_json:
        print_json({"id": model_id, "provider": name, "roles": list(role or ())})
    else:
        typer.echo(f"Added {model_id}, served by {name}. Running processes notice within five seconds.")


async def _add(
    settings: Settings,
    model_id: str,
    model_fields: dict[str, Any],
    provider_fields: dict[str, Any] | None,
    *,
    roles: tuple[Role, ...],
) -> None:
    from assay.cli.connecting import open_database
    from assay.db.session import transaction
    from assay.gateway.config import ModelConfig, ProviderConfig
    from assay.gateway.repository import save_model, save_provider
    from assay.gateway.types import ModelRole

    model = _validated(ModelConfig, model_fields)
    provider = None if provider_fields is None else _validated(ProviderConfig, provider_fields)
    async with open_database(settings) as database:
        if provider is None:
            async with _catalog(settings, database) as catalog:
                _require_provider(catalog, model.provider)
        async with transaction(database.sessions) as session:
            if provider is not None:
                await save_provider(session, model.provider, config=provider, secrets=_secret_box(settings))
            await save_model(session, model_id, config=model, roles=tuple(map(ModelRole, roles)))


def _validated(model: type[M], fields: dict[str, Any]) -> M:
    from pydantic import ValidationError

    try:
        return model.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as exc:
        first = exc.errors(include_input=False)[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _require_provider(catalog: Catalog, name: str) -> None:
    known = [provider.name for provider in catalog.list_providers()]
    if name not in known:
        raise typer.BadParameter(
            f"the provider {name!r} is not configured (known: {', '.join(known)}). Name one with --provider, "
            "or give its --base-url to store it too."
        )


def _read_key(*, ask_key: bool, key_stdin: bool, key_env: str | None) -> SecretStr | None:
    if ask_key + key_stdin + (key_env is not None) > 1:
        raise typer.BadParameter("give one of --ask-key, --key-stdin and --key-env.")
    if ask_key:
        return SecretStr(typer.prompt("Key of the provider", hide_input=True))
    if key_stdin:
        return SecretStr(sys.stdin.readline().strip())
    if key_env is None:
        return None
    value = environment_variable(key_env)
    if not value:
        raise typer.BadParameter(f"the variable {key_env} is not set.")
    return SecretStr(value)


@app.command("remove")
def remove_model(
    name: Annotated[str, typer.Argument(help="Id of the model, or with --provider the name of the provider.")],
    *,
    provider: Annotated[bool, typer.Option("--provider", help="Remove a stored provider and its key instead.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a model or provider from the database. Those of the environment and of assay.toml stay."""
    settings = prepare_quietly()
    from assay.cli.connecting import open_transaction
    from assay.gateway.repository import delete_model, delete_provider

    async def main() -> bool:
        async with open_transaction(settings) as session:
            return await (delete_provider if provider else delete_model)(session, name)

    if not run(main()):
        print_error(f"the database has no {'provider' if provider else 'model'} {name!r}; see `assay models list`.")
        raise typer.Exit(ExitCode.FAILED)
    print_json({"removed": name}) if as_json else typer.echo(f"Removed {name}.")


def _secret_box(settings: Settings) -> SecretBox:
    from assay.embedded.home import AssayHome
    from assay.installation import find_secret_key
    from assay.kit.secrets import SecretBox

    return SecretBox(find_secret_key(settings, AssayHome(settings.core.home)))


@asynccontextmanager
async def _catalog(settings: Settings, database: Database) -> AsyncGenerator[Catalog]:
    from assay.gateway.gateway import open_gateway

    gateway = await open_gateway(settings, database.sessions, secrets=_secret_box(settings))
    async with gateway:
        await gateway.catalog.refresh()
        yield gateway.catalog


def _roles_of(model: ListedModel, roles: dict[ModelRole, str]) -> list[str]:
    return [role.value for role, model_id in roles.items() if model_id == model.entry.id]


def _describe(model: ListedModel, roles: dict[ModelRole, str]) -> dict[str, Any]:
    return {
        "id": model.entry.id,
        "provider": model.provider.name,
        "base_url": model.provider.base_url,
        "upstream": model.entry.upstream,
        "type": model.entry.type,
        "roles": _roles_of(model, roles),
        "simulated": model.simulated,
        "source": model.entry.source,
    }
