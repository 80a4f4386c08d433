"""``assay keys``: what lets clients in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from assay.cli.console import prepare_quietly, print_json, print_table, run
from assay.cli.projects import parse_project
from assay.kit.clock import utc_now

if TYPE_CHECKING:
    from assay.core.projects.types import ApiKey, IssuedApiKey

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ProjectOption = Annotated[
    str | None, typer.Option("--project", help="Number or id of the project; default: the first.")
]

_PERIOD = re.compile(r"(\d{1,6})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def parse_expiry(text: str) -> datetime:
    """The instant that ``--expires`` means: a period from now (``12h``, ``30d``, ``8w``) or an ISO 8601 time.

    A time without a zone is UTC.
    """
    period = _PERIOD.fullmatch(text)
    try:
        if period is not None:
            return utc_now() + int(period[1]) * _UNITS[period[2]]
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither like 12h, 30d or 8w, nor an ISO 8601 time.") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    scope: Annotated[
        list[str] | None, typer.Option(help="What it may do, such as read:evals; may be repeated. Default: everything.")
    ] = None,
    may_delegate: Annotated[
        bool, typer.Option("--may-delegate", help="Let it act on behalf of end users (X-On-Behalf-Of).")
    ] = False,
    expires: Annotated[str | None, typer.Option(help="12h, 30d, 8w, or an ISO 8601 time. Default: never.")] = None,
    project: ProjectOption = None,
    as_json: Json = False,
) -> None:
    """Create an API key. It is printed once; only its digest is stored."""
    expires_at = None if expires is None else parse_expiry(expires)
    chosen = None if project is None else parse_project(project)
    settings = prepare_quietly()
    from assay.cli.connecting import open_transaction
    from assay.core.projects import service

    async def main() -> IssuedApiKey:
        async with open_transaction(settings) as session:
            operator = await service.get_operator(session, project=chosen)
            return await service.create_api_key(
                session,
                operator,
                name=name,
                scopes=scope or ["*"],
                may_delegate=may_delegate,
                expires_at=expires_at,
            )

    issued = run(main())
    if as_json:
        print_json({**describe_key(issued.api_key), "api_key": issued.token})
    else:
        typer.echo(f"Created key {issued.api_key.id}.")
        typer.echo(f"API key, shown this once: {issued.token}")


@app.command("list")
def list_keys(*, project: ProjectOption = None, as_json: Json = False) -> None:
    """List the keys of a project, newest first."""
    chosen = None if project is None else parse_project(project)
    settings = prepare_quietly()
    from assay.cli.connecting import open_transaction
    from assay.core.projects import service

    async def main() -> tuple[ApiKey, ...]:
        async with open_transaction(settings) as session:
            operator = await service.get_operator(session, project=chosen)
            return await service.list_api_keys(session, operator)

    keys = run(main())
    if as_json:
        print_json([describe_key(key) for key in keys])
        return
    rows = [(k.id, k.prefix + "…", k.name, " ".join(sorted(k.scopes)), _status(k), _day(k.last_used_at)) for k in keys]
    print_table(("id", "key", "name", "scopes", "status", "last used"), rows)


@app.command("revoke")
def revoke_key(
    key_id: Annotated[UUID, typer.Argument(help="Id of the key, as `assay keys list` shows it.")],
    *,
    project: ProjectOption = None,
    as_json: Json = False,
) -> None:
    """Revoke a key. Running servers refuse it within five seconds."""
    chosen = None if project is None else parse_project(project)
    settings = prepare_quietly()
    from assay.cli.connecting import open_transaction
    from assay.core.projects import service

    async def main() -> ApiKey:
        async with open_transaction(settings) as session:
            operator = await service.get_operator(session, project=chosen)
            return await service.revoke_api_key(session, operator, key_id=key_id)

    key = run(main())
    print_json(describe_key(key)) if as_json else typer.echo(f"Revoked key {key.id} ({key.name}).")


def describe_key(key: ApiKey) -> dict[str, Any]:
    """The JSON form of a key, without the secret."""
    return {
        "id": key.id,
        "project_id": key.project_id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "may_delegate": key.may_delegate,
        "status": _status(key),
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def _status(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= utc_now():
        return "expired"
    return "active"


def _day(instant: datetime | None) -> str:
    return "never" if instant is None else f"{instant:%Y-%m-%d %H:%M}"
